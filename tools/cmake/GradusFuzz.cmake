# gradus_fuzz(subject SOURCES files... LIBRARIES targets...)
# Fuzz target fuzz_<subject> from <subject>_fuzz.cpp of this folder, with libFuzzer and the address and undefined-behaviour
# sanitizers. SOURCES are compiled once more, with the coverage counters that libFuzzer steers by.
# docs/fuzzing.md says how to run them.
option(GRADUS_FUZZ "Build the fuzz targets (clang)" OFF)

if(GRADUS_FUZZ AND NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  message(FATAL_ERROR "GRADUS_FUZZ needs clang: configure with -DCMAKE_CXX_COMPILER=clang++")
endif()

function(gradus_fuzz subject)
  if(NOT GRADUS_FUZZ)
    return()
  endif()
  cmake_parse_arguments(arg "" "" "SOURCES;LIBRARIES" ${ARGN})
  add_executable(fuzz_${subject} ${subject}_fuzz.cpp ${arg_SOURCES})
  target_compile_features(fuzz_${subject} PRIVATE cxx_std_20)
  target_compile_options(fuzz_${subject} PRIVATE -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all)
  target_link_options(fuzz_${subject} PRIVATE -fsanitize=fuzzer,address,undefined)
  target_link_libraries(fuzz_${subject} PRIVATE ${arg_LIBRARIES})
endfunction()
