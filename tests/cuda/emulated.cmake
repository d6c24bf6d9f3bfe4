# The CUDA kernels and the ops around them, compiled for the CPU on the emulated device. Fibers are
# Boost.Context's.
find_package(Boost 1.74 REQUIRED CONFIG COMPONENTS context)
loopbank_tests(cuda LIBRARIES loopbank_ops Boost::context)
file(GLOB kernels CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/loopbank/ops/cuda/*.cu)
file(GLOB fused CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/loopbank/ops/cuda/*.cpp)
list(FILTER fused EXCLUDE REGEX "/stream\\.cpp$")
target_sources(cuda_tests PRIVATE ${kernels} ${fused} ops/gradient_check.cpp)
# Not with the others in one unit: each has helpers of its own names.
set_source_files_properties(${kernels} PROPERTIES LANGUAGE CXX SKIP_PRECOMPILE_HEADERS ON
                            SKIP_UNITY_BUILD_INCLUSION ON)
