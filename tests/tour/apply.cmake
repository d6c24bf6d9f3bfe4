# Applies one change of docs/change-the-model.md to copies of the sources that it names.
#
#   cmake -DTOUR=FILE -DCHANGE=NAME -DSOURCES=FOLDER -DOUTPUT=FOLDER -DPATCH=PROGRAM -P apply.cmake
#
# The change is the block ```diff behind the mark <!-- change: NAME -->; OUTPUT holds the changed
# files, by their paths.
cmake_minimum_required(VERSION 3.24)

# Takes what stands before MARK from the text; the rest stays.
function(split_at mark before rest)
  string(FIND "${${rest}}" "${mark}" position)
  if(position EQUAL -1)
    message(FATAL_ERROR "${TOUR}: change ${CHANGE}: expected \"${mark}\", got none.")
  endif()
  string(SUBSTRING "${${rest}}" 0 ${position} head)
  string(LENGTH "${mark}" length)
  math(EXPR position "${position} + ${length}")
  string(SUBSTRING "${${rest}}" ${position} -1 tail)
  set(${before} "${head}" PARENT_SCOPE)
  set(${rest} "${tail}" PARENT_SCOPE)
endfunction()

file(READ ${TOUR} text)
split_at("<!-- change: ${CHANGE} -->\n```diff\n" before text)
split_at("\n```\n" diff text)
file(REMOVE_RECURSE ${OUTPUT})
file(WRITE ${OUTPUT}/change.diff "${diff}\n")
string(REGEX MATCHALL "--- a/[^\n]+" names "${diff}")
list(TRANSFORM names REPLACE "^--- a/" "")
foreach(name IN LISTS names)
  configure_file(${SOURCES}/${name} ${OUTPUT}/${name} COPYONLY)
endforeach()
execute_process(COMMAND ${PATCH} -p1 --fuzz=0 --no-backup-if-mismatch --input=change.diff
                WORKING_DIRECTORY ${OUTPUT} RESULT_VARIABLE status OUTPUT_VARIABLE output
                ERROR_VARIABLE output)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "${TOUR}: change ${CHANGE} does not apply. Write its diff anew.\n${output}")
endif()
