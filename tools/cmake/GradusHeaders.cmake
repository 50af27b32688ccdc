# Public headers: all .hpp of the layers but those that are details of one folder, told by their names.

# gradus_public_headers(out): paths from the root of the tree, layers in the order of their dependence.
function(gradus_public_headers out)
  set(all "")
  foreach(layer core autograd ops nn data zoo)
    file(GLOB_RECURSE headers CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/${layer}/*.hpp)
    list(SORT headers)
    list(APPEND all ${headers})
  endforeach()
  list(FILTER all EXCLUDE REGEX "_(kernels|list|page|support|problem|plan|tile)\\.hpp$|/simd\\.hpp$")
  set(${out} ${all} PARENT_SCOPE)
endfunction()

# gradus_umbrella(target): writes gradus/gradus.hpp, which includes every public header, and adds it to the target.
# It is written by a glob so that no header can be forgotten.
function(gradus_umbrella target)
  gradus_public_headers(headers)
  set(text "#pragma once\n// All of Gradus. Written when the build is configured; the contracts are in the headers below.\n")
  set(last "")
  foreach(header IN LISTS headers)
    string(REGEX MATCH "^[^/]+" layer ${header})
    if(NOT layer STREQUAL last)
      string(APPEND text "\n")
      set(last ${layer})
    endif()
    string(APPEND text "#include \"${header}\"\n")
  endforeach()
  set(folder ${PROJECT_BINARY_DIR}/include)
  file(CONFIGURE OUTPUT ${folder}/gradus/gradus.hpp CONTENT "${text}" @ONLY)
  target_include_directories(${target} INTERFACE
    $<BUILD_INTERFACE:${folder}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  install(FILES ${folder}/gradus/gradus.hpp DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/gradus)
endfunction()

# gradus_check_headers(): target gradus_headers compiles every header of the layers alone.
function(gradus_check_headers)
  set(sources "")
  foreach(layer core autograd ops nn data zoo tools)
    file(GLOB_RECURSE headers CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/${layer}/*.hpp)
    foreach(header IN LISTS headers)
      string(MAKE_C_IDENTIFIER ${header} stem)
      set(source ${PROJECT_BINARY_DIR}/headers/${stem}.cpp)
      file(CONFIGURE OUTPUT ${source} CONTENT "#include \"${header}\"\n#include \"${header}\"\n" @ONLY)
      list(APPEND sources ${source})
    endforeach()
  endforeach()
  add_library(gradus_headers OBJECT EXCLUDE_FROM_ALL ${sources})
  target_compile_definitions(gradus_headers PRIVATE GRADUS_ISA=portable)  # core/simd.hpp wants to know
  target_compile_options(gradus_headers PRIVATE -O0 -Wno-unused)
  target_link_libraries(gradus_headers PRIVATE gradus::gradus doctest::doctest nlohmann_json::nlohmann_json gradus_flags)
endfunction()
