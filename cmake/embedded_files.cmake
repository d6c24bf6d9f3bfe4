# Files that travel inside the program, which then runs from any folder: what every system of a study
# shares, a study's page with the library that draws its figures, the server's page, and the model in
# PyTorch that an export holds.

# Reads a file into the variable that a .cpp.in names and configures again when the file changes.
function(loopbank_embed variable file)
  string(MAKE_C_IDENTIFIER ${variable} variable)
  string(TOUPPER ${variable} variable)
  file(READ ${file} content)
  set(${variable} "${content}" PARENT_SCOPE)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
endfunction()

foreach(scale demo small paper)
  loopbank_embed(loopbank_${scale}_preset ${PROJECT_SOURCE_DIR}/configs/${scale}/base.toml)
endforeach()
foreach(study demo small small-text paper retrofit noise)
  loopbank_embed(loopbank_${study}_study ${PROJECT_SOURCE_DIR}/configs/study/${study}.toml)
endforeach()

find_file(CHART_JS chart.min.js PATHS /usr/share/javascript/chart.js NO_DEFAULT_PATH)
if(NOT CHART_JS)
  message(FATAL_ERROR "expected /usr/share/javascript/chart.js/chart.min.js (Chart.js 3.9), got none. "
                      "Install libjs-chart.js, or set -DCHART_JS=FILE.")
endif()
loopbank_embed(loopbank_chart_library ${CHART_JS})
foreach(file palette.css element.js)  # of both pages
  loopbank_embed(loopbank_${file} ${PROJECT_SOURCE_DIR}/loopbank/serve/page/${file})
endforeach()
foreach(file head.html page.html page.css dom.js tables.js charts.js figure_view.js tokens.js page.js
        exit.html exit.js)
  loopbank_embed(loopbank_${file} ${PROJECT_SOURCE_DIR}/loopbank/study/page/${file})
endforeach()

foreach(source presets page_files)
  set(generated ${PROJECT_BINARY_DIR}/generated/${source}.cpp)
  configure_file(${PROJECT_SOURCE_DIR}/loopbank/study/${source}.cpp.in ${generated} @ONLY)
  target_sources(loopbank_study PRIVATE ${generated})
endforeach()

foreach(file page.html page.css api.js fields.js exit_field.js settings.js token_text.js token_view.js
        inside_card.js live_strip.js compare.js column.js page.js)
  loopbank_embed(loopbank_serve_${file} ${PROJECT_SOURCE_DIR}/loopbank/serve/page/${file})
endforeach()
set(generated ${PROJECT_BINARY_DIR}/generated/serve_page_files.cpp)
configure_file(${PROJECT_SOURCE_DIR}/loopbank/serve/page_files.cpp.in ${generated} @ONLY)
target_sources(loopbank_serve PRIVATE ${generated})

foreach(file block configuration_loopbank layers model model_config modeling_loopbank)
  loopbank_embed(loopbank_twin_${file}.py ${PROJECT_SOURCE_DIR}/reference/twin/${file}.py)
endforeach()
set(generated ${PROJECT_BINARY_DIR}/generated/twin_files.cpp)
configure_file(${PROJECT_SOURCE_DIR}/loopbank/interop/twin_files.cpp.in ${generated} @ONLY)
target_sources(loopbank_interop PRIVATE ${generated})
