# cmake --install: the headers, the floors' libraries, the program and what find_package(loopbank) reads.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(LOOPBANK_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/loopbank)

get_property(floors GLOBAL PROPERTY LOOPBANK_FLOORS)
install(TARGETS loopbank_library ${floors} EXPORT loopbankTargets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
        INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
if(TARGET loopbank)
  install(TARGETS loopbank RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(DIRECTORY ${PROJECT_SOURCE_DIR}/loopbank DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        FILES_MATCHING PATTERN "*.h"
        PATTERN "*-inl.h" EXCLUDE PATTERN cli EXCLUDE PATTERN page EXCLUDE)
install(EXPORT loopbankTargets NAMESPACE loopbank:: DESTINATION ${LOOPBANK_CMAKE_DIR})
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/loopbankConfig.cmake.in
                              ${PROJECT_BINARY_DIR}/loopbankConfig.cmake
                              INSTALL_DESTINATION ${LOOPBANK_CMAKE_DIR})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/loopbankConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/loopbankConfig.cmake
              ${PROJECT_BINARY_DIR}/loopbankConfigVersion.cmake
              ${PROJECT_SOURCE_DIR}/cmake/dependencies.cmake
              ${PROJECT_SOURCE_DIR}/cmake/libtorch.cmake
        DESTINATION ${LOOPBANK_CMAKE_DIR})
