# Writes OUTPUT, the ctest entries of one test program: one a suite, named like it, since LibTorch
# takes half a second to load. A suite that matches ALONE has an entry for each of its tests.
#
#   cmake -DPROGRAM=FILE -DFLOOR=NAME -DALONE=REGEX -DOUTPUT=FILE -P tests/entries.cmake
#
# A suite's name tells whether it compares with the PyTorch twin (*Parity*) or needs a GPU (*OnGpu*).
cmake_minimum_required(VERSION 3.24)

set(listing ${OUTPUT}.json)
execute_process(COMMAND ${PROGRAM} --gtest_list_tests --gtest_output=json:${listing} TIMEOUT 60
                OUTPUT_VARIABLE output ERROR_VARIABLE output RESULT_VARIABLE status)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "${PROGRAM} --gtest_list_tests: expected status 0, got ${status}.\n${output}")
endif()
file(READ ${listing} listed)
file(REMOVE ${listing})

set(script "")
# One thread an entry, as many entries at a time as there are cores: threads that wait should sleep.
# gtest names what was skipped last, unless something failed, and only then is an entry skipped.
macro(add_entry name filter)
  string(APPEND script
         "add_test([=[${name}]=] [=[${PROGRAM}]=] [=[--gtest_filter=${filter}]=])\n"
         "set_tests_properties([=[${name}]=] PROPERTIES LABELS [=[${labels}]=]\n"
         "  ENVIRONMENT [=[OMP_NUM_THREADS=1;OMP_WAIT_POLICY=passive]=]\n"
         "  SKIP_REGULAR_EXPRESSION [=[\\[  SKIPPED \\] [^\n]*\n$]=])\n")
endmacro()

string(JSON num_suites LENGTH ${listed} testsuites)
math(EXPR last_suite "${num_suites} - 1")
foreach(s RANGE ${last_suite})
  string(JSON suite GET ${listed} testsuites ${s} name)
  set(labels ${FLOOR})
  if(suite MATCHES "Parity")
    list(APPEND labels parity)
  endif()
  if(suite MATCHES "OnGpu")
    list(APPEND labels gpu)
  endif()
  if(NOT suite MATCHES "${ALONE}")
    add_entry(${suite} "${suite}.*")
    continue()
  endif()
  string(JSON num_tests GET ${listed} testsuites ${s} tests)
  math(EXPR last_test "${num_tests} - 1")
  foreach(t RANGE ${last_test})
    string(JSON test GET ${listed} testsuites ${s} testsuite ${t} name)
    add_entry(${suite}.${test} "${suite}.${test}")
  endforeach()
endforeach()
file(WRITE ${OUTPUT} "${script}")
