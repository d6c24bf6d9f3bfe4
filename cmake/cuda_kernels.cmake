# The CUDA kernels of loopbank/ops/cuda, which know nothing of LibTorch: compiled apart, without its
# flags, then objects of the floor ops.
enable_language(CUDA)
set(CMAKE_CUDA_FLAGS "$CACHE{CMAKE_CUDA_FLAGS}")  # LibTorch has added the cards that it was made for
# Programs are linked by the C++ compiler, with its own libstdc++ and not that of an older one that nvcc
# takes for its host: Debian 13's takes GCC 13.
list(FILTER CMAKE_CUDA_IMPLICIT_LINK_DIRECTORIES EXCLUDE REGEX "/gcc/")
if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake 3.25 does not know that nvcc has C++20
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
endif()
file(GLOB cuda_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/loopbank/ops/cuda/*.cu)
add_library(loopbank_cuda_kernels OBJECT ${cuda_sources})
target_include_directories(loopbank_cuda_kernels PRIVATE ${PROJECT_SOURCE_DIR})
set_target_properties(loopbank_cuda_kernels PROPERTIES POSITION_INDEPENDENT_CODE ON UNITY_BUILD OFF
                      CUDA_ARCHITECTURES "${LOOPBANK_CUDA_ARCHITECTURES}" CUDA_RUNTIME_LIBRARY None
                      CUDA_STANDARD 20 CUDA_STANDARD_REQUIRED ON CUDA_EXTENSIONS OFF)
target_compile_options(loopbank_cuda_kernels PRIVATE -Xcompiler=-Wall,-Wextra)
if(LOOPBANK_WERROR)
  target_compile_options(loopbank_cuda_kernels PRIVATE -Werror=all-warnings)
endif()
target_sources(loopbank_ops PRIVATE $<TARGET_OBJECTS:loopbank_cuda_kernels>)
