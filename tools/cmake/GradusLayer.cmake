# Functions that turn a folder into a library: one target per layer, links point only downwards.

if(NOT CMAKE_CXX_COMPILER_LAUNCHER)
  find_program(GRADUS_CCACHE ccache)
  if(GRADUS_CCACHE)
    set(CMAKE_CXX_COMPILER_LAUNCHER ${GRADUS_CCACHE})
    if(GRADUS_PRECOMPILE)  # ccache caches what takes precompiled headers if it is told that these are no obstacle
      set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
          CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${GRADUS_CCACHE})
    endif()
  endif()
endif()

set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

# Flags every target of the project is compiled with; not part of the installed interface.
add_library(gradus_flags INTERFACE)
set(flags -Wall -Wextra -Wshadow -fno-math-errno -fno-trapping-math)
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  list(APPEND flags -Wno-restrict)  # false alarms on std::string, GCC bug 105651
endif()
if(GRADUS_WERROR)
  list(APPEND flags -Werror)
endif()
target_compile_options(gradus_flags INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:${flags}>")
if(GRADUS_SANITIZE)
  target_compile_options(gradus_flags INTERFACE -fsanitize=${GRADUS_SANITIZE} -fno-omit-frame-pointer
                                                -fno-sanitize-recover=all)
  target_link_options(gradus_flags INTERFACE -fsanitize=${GRADUS_SANITIZE})
endif()

# What each instruction set of GRADUS_ISAS means to the compiler.
set(GRADUS_ISA_FLAGS_portable "")
set(GRADUS_ISA_FLAGS_avx2 -mavx2 -mfma -mf16c -mbmi2)
set(GRADUS_ISA_FLAGS_avx512 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mf16c -mbmi2
                            -mprefer-vector-width=512)

# gradus_precompile(target headers...)
# Precompiles headers for a target's files, if GRADUS_PRECOMPILE. A file still includes what it needs: the presets other
# than release build without.
function(gradus_precompile target)
  if(GRADUS_PRECOMPILE AND ARGN)
    if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
      target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-fpch-preprocess>)  # for ccache
    endif()
    foreach(header IN LISTS ARGN)
      if(header MATCHES "\\.hpp$" AND NOT header MATCHES "^<")
        set(header "\"${header}\"")  # as #include has it, not relative to this folder
      endif()
      target_precompile_headers(${target} PRIVATE "$<$<COMPILE_LANGUAGE:CXX>:${header}>")
    endforeach()
  endif()
endfunction()

# gradus_layer(name DEPENDS targets... [PRIVATE targets...] [PRECOMPILE headers...])
# Library gradus_<name> (alias gradus::<name>) from all .cpp below this folder but tests and benchmarks. A file named
# *_simd.cpp is compiled once per instruction set, with GRADUS_ISA set to the set's name (see core/isa.hpp). Where the
# build has CUDA, the .cu files join (see GradusCuda).
function(gradus_layer name)
  cmake_parse_arguments(arg "" "" "DEPENDS;PRIVATE;PRECOMPILE" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  list(FILTER sources EXCLUDE REGEX "_(test|fuzz)\\.cpp$|/cuda/simt/")
  if(NOT GRADUS_BENCH)
    list(FILTER sources EXCLUDE REGEX "(_bench|bench_list)\\.cpp$")
  endif()
  if(NOT sources)
    file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/empty.cpp "")
    set(sources ${CMAKE_CURRENT_BINARY_DIR}/empty.cpp)
  endif()
  set(simd_sources ${sources})
  list(FILTER simd_sources INCLUDE REGEX "_simd\\.cpp$")
  list(FILTER sources EXCLUDE REGEX "_simd\\.cpp$")

  add_library(gradus_${name} STATIC ${sources})
  add_library(gradus::${name} ALIAS gradus_${name})
  target_compile_features(gradus_${name} PUBLIC cxx_std_20)
  set_target_properties(gradus_${name} PROPERTIES EXPORT_NAME ${name} POSITION_INDEPENDENT_CODE ON)
  target_include_directories(gradus_${name} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/gradus>)
  target_link_libraries(gradus_${name} PUBLIC ${arg_DEPENDS} PRIVATE ${arg_PRIVATE} $<BUILD_INTERFACE:gradus_flags>)
  gradus_precompile(gradus_${name} ${arg_PRECOMPILE})
  foreach(isa IN LISTS GRADUS_ISAS)
    target_compile_definitions(gradus_${name} PUBLIC GRADUS_HAS_${isa}=1)
  endforeach()
  if(simd_sources)
    set(simd_level -O3)
    if(GRADUS_SANITIZE)
      set(simd_level -O1)  # at -O3 a sanitized file takes minutes to compile, at -O1 seconds
    endif()
    foreach(isa IN LISTS GRADUS_ISAS)
      add_library(gradus_${name}_${isa} OBJECT ${simd_sources})
      target_compile_features(gradus_${name}_${isa} PRIVATE cxx_std_20)
      set_target_properties(gradus_${name}_${isa} PROPERTIES POSITION_INDEPENDENT_CODE ON)
      target_include_directories(gradus_${name}_${isa} PRIVATE ${PROJECT_SOURCE_DIR})
      target_compile_definitions(gradus_${name}_${isa} PRIVATE GRADUS_ISA=${isa} GRADUS_HAS_${isa}=1)
      target_compile_options(gradus_${name}_${isa} PRIVATE ${simd_level} -Wno-psabi ${GRADUS_ISA_FLAGS_${isa}})
      target_link_libraries(gradus_${name}_${isa} PRIVATE gradus_flags)
      target_sources(gradus_${name} PRIVATE $<TARGET_OBJECTS:gradus_${name}_${isa}>)
    endforeach()
  endif()

  if(GRADUS_CUDA)
    file(GLOB_RECURSE kernels CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cu)
    list(FILTER kernels EXCLUDE REGEX "_test\\.cu$|/cuda/simt/")
    if(kernels)
      gradus_cuda_sources(gradus_${name} ${kernels})
    endif()
  endif()

  install(TARGETS gradus_${name} EXPORT gradusTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/gradus
          FILES_MATCHING PATTERN "*.hpp" PATTERN "*_support.hpp" EXCLUDE)
endfunction()
