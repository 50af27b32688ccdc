# Compiling .cu files, two ways: by nvcc for GPUs (GRADUS_CUDA=ON), or by the host compiler for the emulator of cuda/simt
# (GRADUS_CUDA=emulate). AUTO is ON where nvcc is found and OFF elsewhere; it becomes one of the two here.

if(GRADUS_CUDA STREQUAL "AUTO")
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    set(GRADUS_CUDA ON)
  else()
    set(GRADUS_CUDA OFF)
  endif()
endif()

if(GRADUS_CUDA AND NOT GRADUS_CUDA STREQUAL "emulate")
  # Ampere's data-centre GPUs, whose code newer ones of that kind run too, and Hopper with its own instructions. Others:
  # -DCMAKE_CUDA_ARCHITECTURES="86;89" (RTX 30 and 40), 100 (Blackwell).
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES "80;90a" CACHE STRING "GPUs to compile for: 80, 86, 89, 90a, 100, …")
  endif()
  set(CMAKE_CUDA_RUNTIME_LIBRARY Shared)
  if(NOT CMAKE_CUDA_COMPILER AND EXISTS /usr/local/cuda/bin/nvcc)
    set(CMAKE_CUDA_COMPILER /usr/local/cuda/bin/nvcc)
  endif()
  if(CMAKE_CXX_COMPILER_LAUNCHER AND NOT CMAKE_CUDA_COMPILER_LAUNCHER)
    set(CMAKE_CUDA_COMPILER_LAUNCHER ${CMAKE_CXX_COMPILER_LAUNCHER})
  endif()
  enable_language(CUDA)
  find_package(CUDAToolkit REQUIRED)
endif()

# What nvcc is told: the standard by its flag, for CMake 3.25 does not know that nvcc has C++20; device lambdas; constexpr
# functions in kernels; and that fmt may be constexpr, which fmt 9 doubts.
set(GRADUS_NVCC_FLAGS -std=c++20 --extended-lambda --expt-relaxed-constexpr -DFMT_USE_CONSTEXPR=1
                      -Xcompiler=-Wall,-Wextra,-Wshadow)
if(GRADUS_WERROR)
  list(APPEND GRADUS_NVCC_FLAGS --Werror=all-warnings)
endif()

# What emulated kernels are compiled with. They run on the machine that compiles them, so they may use what it has; fused
# multiply-add matters, because nvcc contracts a * b + c too. Thread-local variables are __shared__ arrays and threadIdx:
# found without a call.
set(GRADUS_SIMT_FLAGS "-march=native" CACHE STRING "What emulated CUDA kernels are compiled with, besides -O2")
# fmt 9 turns its constexpr off for nvcc, and then does not compile as C++20.
set(GRADUS_NVCC_DEFINITIONS FMT_USE_CONSTEXPR=1)
set(GRADUS_SIMT_COMMON -x c++ -ftls-model=initial-exec -Wno-unknown-pragmas -Wno-psabi)

# The instrumented form, for checked mode: thread-sanitizer instrumentation, whose hooks are cuda/simt/checker_hooks.cpp.
# -O1 without the passes that take vector loads apart or merge scalar ones, so that an access is what the source says.
set(GRADUS_SIMT_CHECKED_FLAGS -O1 -g1 -fsanitize=thread)
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  list(APPEND GRADUS_SIMT_CHECKED_FLAGS -fno-tree-sra -fno-ipa-sra -fno-tree-fre -fno-tree-vectorize)
endif()

# gradus_cuda_sources(target FILES...)
# Adds .cu files to a target that is a GPU or an emulated one, as GRADUS_CUDA says.
function(gradus_cuda_sources target)
  target_sources(${target} PRIVATE ${ARGN})
  if(GRADUS_CUDA STREQUAL "emulate")
    gradus_simt_sources(${target} ${ARGN})
  else()
    set_source_files_properties(${ARGN} TARGET_DIRECTORY ${target} PROPERTIES COMPILE_OPTIONS "${GRADUS_NVCC_FLAGS}")
  endif()
endfunction()

# gradus_simt_sources(target [CHECKED] FILES...) marks .cu files of a target in this folder as C++ for the emulator; CHECKED
# compiles them instrumented, and the target must then be linked with gradus::simt_hooks.
function(gradus_simt_sources target)
  cmake_parse_arguments(arg "CHECKED" "" "" ${ARGN})
  separate_arguments(flags UNIX_COMMAND "${GRADUS_SIMT_FLAGS}")
  list(APPEND flags ${GRADUS_SIMT_COMMON})
  if(arg_CHECKED)
    list(APPEND flags ${GRADUS_SIMT_CHECKED_FLAGS})
  endif()
  set_source_files_properties(${arg_UNPARSED_ARGUMENTS} TARGET_DIRECTORY ${target} PROPERTIES LANGUAGE CXX
                              COMPILE_OPTIONS "${flags}")
endfunction()

# gradus_checked_kernels(target FILES...) adds kernels to a program that checks them (cuda/simt/checker.hpp).
function(gradus_checked_kernels target)
  target_sources(${target} PRIVATE ${ARGN})
  gradus_simt_sources(${target} CHECKED ${ARGN})
  target_link_libraries(${target} PRIVATE gradus::simt_hooks gradus::simt)
endfunction()
