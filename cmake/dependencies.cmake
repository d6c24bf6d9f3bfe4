# Every library that loopbank is built with. Read by the build and, once installed, by
# find_package(loopbank), so that both ask for the same ones.
#
# Where a package says too little or too much, an imported target of our own stands for it:
#   loopbank::torch     LibTorch with its headers as system headers (they are not warning-free)
#   loopbank::onednn    oneDNN, empty where the build goes without
#   loopbank::parquet   Apache Arrow's Parquet reader, empty where the build goes without

# Whoever links loopbank from another folder needs its libraries there as well.
if(TARGET loopbank::torch)
  return()  # a second find_package(loopbank)
endif()
set(targets_global_before ${CMAKE_FIND_PACKAGE_TARGETS_GLOBAL})
set(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL ON)

find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(tomlplusplus REQUIRED)
find_package(zstd REQUIRED)
find_package(ZLIB REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
find_package(Threads REQUIRED)
find_package(Boost 1.74 REQUIRED CONFIG)  # headers alone: Math, Asio, Beast
if(NOT LOOPBANK_FUZZ)  # libFuzzer runs one thread, and clang would want an OpenMP of its own
  find_package(OpenMP REQUIRED)
endif()
find_package(PkgConfig REQUIRED)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET GLOBAL libpcre2-8)
pkg_check_modules(ONIG REQUIRED IMPORTED_TARGET GLOBAL oniguruma)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET GLOBAL libutf8proc)
# Its -DUTF8PROC_EXPORTS means something on Windows alone, and would part us from the precompiled header.
set_target_properties(PkgConfig::UTF8PROC PROPERTIES INTERFACE_COMPILE_OPTIONS "" INTERFACE_COMPILE_DEFINITIONS "")
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET GLOBAL libxxhash)
pkg_check_modules(HWY REQUIRED IMPORTED_TARGET GLOBAL libhwy)
pkg_check_modules(PROMETHEUS REQUIRED IMPORTED_TARGET GLOBAL prometheus-cpp-core)

include(${CMAKE_CURRENT_LIST_DIR}/libtorch.cmake)

# Parquet through Apache Arrow, which Debian 12 does not package: docs/data.md tells where it is from.
find_package(Arrow QUIET)
find_package(Parquet QUIET)
if(TARGET Parquet::parquet_shared)
  set(PARQUET_TARGET Parquet::parquet_shared)
elseif(TARGET Parquet::parquet_static)
  set(PARQUET_TARGET Parquet::parquet_static)
elseif(TARGET parquet_shared)  # before Arrow 10
  set(PARQUET_TARGET parquet_shared)
endif()
if(PARQUET_TARGET)
  set(LOOPBANK_PARQUET_DEFAULT ON)
else()
  set(LOOPBANK_PARQUET_DEFAULT OFF)
endif()
option(LOOPBANK_PARQUET "Read .parquet through Apache Arrow" ${LOOPBANK_PARQUET_DEFAULT})
add_library(loopbank::parquet INTERFACE IMPORTED GLOBAL)
if(LOOPBANK_PARQUET)
  if(NOT PARQUET_TARGET)
    message(FATAL_ERROR "LOOPBANK_PARQUET expects Apache Arrow with Parquet, got none: docs/data.md")
  endif()
  target_link_libraries(loopbank::parquet INTERFACE ${PARQUET_TARGET})
  target_compile_definitions(loopbank::parquet INTERFACE LOOPBANK_HAS_PARQUET)
endif()
set(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL ${targets_global_before})
