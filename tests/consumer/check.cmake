# cmake -DBUILD=… -DSOURCE=… -DWORK=… -DFLAGS=… -DCOMPILER=… -P check.cmake: installs the build into an empty folder, builds
# the consumer against it and runs it.
function(step)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE failed OUTPUT_VARIABLE out ERROR_VARIABLE out)
  if(failed)
    list(JOIN ARGN " " command)
    message(FATAL_ERROR "failed: ${command}\n${out}")
  endif()
endfunction()

file(REMOVE_RECURSE ${WORK})
step(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/prefix)
step(${CMAKE_COMMAND} -S ${SOURCE} -B ${WORK}/build -G Ninja -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_COMPILER=${COMPILER}
     -DCMAKE_PREFIX_PATH=${WORK}/prefix "-DCMAKE_CXX_FLAGS=${FLAGS}")
step(${CMAKE_COMMAND} --build ${WORK}/build)
step(${WORK}/build/consumer)
step(${WORK}/build/train 30)
# Nothing of the source tree may be needed once it is installed.
file(GLOB_RECURSE exported ${WORK}/prefix/lib*/cmake/gradus/*.cmake)
foreach(file IN LISTS exported)
  file(STRINGS ${file} leaks REGEX "${ROOT}/")
  if(leaks)
    message(FATAL_ERROR "${file} names the source tree: ${leaks}")
  endif()
endforeach()
file(REMOVE_RECURSE ${WORK})
