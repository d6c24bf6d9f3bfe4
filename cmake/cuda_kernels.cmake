# The CUDA kernels of loopbank/ops/cuda, which know nothing of LibTorch: compiled apart, with nothing of
# its flags, then objects of the floor ops.
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 90)  # Hopper; another card: -DCMAKE_CUDA_ARCHITECTURES=80
endif()
enable_language(CUDA)
file(GLOB cuda_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/loopbank/ops/cuda/*.cu)
add_library(loopbank_cuda_kernels OBJECT ${cuda_sources})
target_include_directories(loopbank_cuda_kernels PRIVATE ${PROJECT_SOURCE_DIR})
set_target_properties(loopbank_cuda_kernels PROPERTIES CUDA_STANDARD 20 CUDA_STANDARD_REQUIRED ON
                      CUDA_RUNTIME_LIBRARY None POSITION_INDEPENDENT_CODE ON UNITY_BUILD OFF)
target_sources(loopbank_ops PRIVATE $<TARGET_OBJECTS:loopbank_cuda_kernels>)
