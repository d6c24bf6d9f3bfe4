# LibTorch and, beside it, oneDNN. Read by dependencies.cmake; makes loopbank::torch and
# loopbank::onednn.
#
# LibTorch is either the system's, which shares fmt, oneDNN and the rest with us, or comes whole: pip's
# wheel of torch, named by CMAKE_PREFIX_PATH (docs/building.md). A whole one has an fmt and a oneDNN
# of its own, whose headers and symbols have to be kept from ours.

option(LOOPBANK_CUDA "Use GPUs where LibTorch is made for them; that needs the CUDA toolkit" ON)
if(NOT LOOPBANK_CUDA AND NOT TARGET torch::cudart)
  # A LibTorch made for CUDA looks for the toolkit, and stops without, unless this target is there.
  add_library(torch::cudart INTERFACE IMPORTED GLOBAL)
endif()
find_package(Torch REQUIRED)
if(TORCH_CXX_FLAGS MATCHES "_GLIBCXX_USE_CXX11_ABI=0")
  message(FATAL_ERROR "expected a LibTorch with C++11's strings (torch 2.6 or later from pip), "
                      "got ${TORCH_INSTALL_PREFIX} with those before.")
endif()
if(LOOPBANK_CUDA AND (TORCH_CUDA_LIBRARIES OR TARGET torch_cuda))
  set(LOOPBANK_HAS_CUDA ON)
else()
  set(LOOPBANK_HAS_CUDA OFF)
endif()
list(GET TORCH_INCLUDE_DIRS 0 LOOPBANK_TORCH_INCLUDE)
if(LOOPBANK_TORCH_INCLUDE IN_LIST CMAKE_CXX_IMPLICIT_INCLUDE_DIRECTORIES)
  set(LOOPBANK_TORCH_IS_WHOLE OFF)
else()
  set(LOOPBANK_TORCH_IS_WHOLE ON)
endif()

add_library(loopbank::torch INTERFACE IMPORTED GLOBAL)
if(LOOPBANK_TORCH_IS_WHOLE)
  # Its headers through links, which leave out its fmt and its oneDNN. Its libraries by their files:
  # its targets bring the whole include folder, and TORCH_LIBRARIES has the system's libc10.so where
  # there is one.
  set(LOOPBANK_TORCH_LINKS ${CMAKE_CURRENT_BINARY_DIR}/libtorch)
  file(MAKE_DIRECTORY ${LOOPBANK_TORCH_LINKS})
  foreach(folder ATen c10 torch)
    file(CREATE_LINK ${LOOPBANK_TORCH_INCLUDE}/${folder} ${LOOPBANK_TORCH_LINKS}/${folder} SYMBOLIC)
  endforeach()
  # The wheel has Gloo inside and c10d's headers, which name Gloo's, but not those: ours hold the names.
  target_include_directories(loopbank::torch SYSTEM INTERFACE
      ${LOOPBANK_TORCH_LINKS} ${LOOPBANK_TORCH_LINKS}/torch/csrc/api/include
      $<BUILD_INTERFACE:${CMAKE_CURRENT_LIST_DIR}/gloo_names>)
  if(LOOPBANK_HAS_CUDA)  # its operators register themselves: nothing refers to the library by name
    target_link_libraries(loopbank::torch INTERFACE
        "-Wl,--push-state,--no-as-needed,$<TARGET_FILE:torch_cuda>,--pop-state"
        $<TARGET_FILE:c10_cuda> torch::cudart)
  endif()
  target_link_libraries(loopbank::torch INTERFACE $<TARGET_FILE:torch_cpu> $<TARGET_FILE:c10>)
else()
  target_include_directories(loopbank::torch SYSTEM INTERFACE ${TORCH_INCLUDE_DIRS})
  target_link_libraries(loopbank::torch INTERFACE ${TORCH_LIBRARIES})
endif()
# at::parallel_for is a loop on one thread in code that is compiled without OpenMP. A whole LibTorch
# has its own libgomp.so.1, which the program then shares: linked by the flag, not by the system's path.
if(LOOPBANK_TORCH_IS_WHOLE)
  target_compile_options(loopbank::torch INTERFACE ${OpenMP_CXX_FLAGS})
  target_link_options(loopbank::torch INTERFACE ${OpenMP_CXX_FLAGS})
else()
  target_link_libraries(loopbank::torch INTERFACE $<TARGET_NAME_IF_EXISTS:OpenMP::OpenMP_CXX>)
endif()
if(LOOPBANK_HAS_CUDA)
  target_compile_definitions(loopbank::torch INTERFACE LOOPBANK_HAS_CUDA)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL Clang)
  # clang 14 reads LibTorch 1.13 as C++20 only if this header comes first.
  target_compile_options(loopbank::torch INTERFACE "SHELL:-include ATen/core/ivalue.h")
endif()

# Beside a LibTorch for GPUs oneDNN would only measure the CPU's peak: that build goes without.
if(LOOPBANK_HAS_CUDA)
  set(LOOPBANK_ONEDNN_DEFAULT OFF)
else()
  set(LOOPBANK_ONEDNN_DEFAULT ON)
endif()
option(LOOPBANK_ONEDNN "Matrix products of the CPU through oneDNN" ${LOOPBANK_ONEDNN_DEFAULT})
add_library(loopbank::onednn INTERFACE IMPORTED GLOBAL)
if(LOOPBANK_ONEDNN)
  # Debian's dnnl-config asks for OpenCL although its CPU library does not: look for it by name, and
  # not among LibTorch's headers.
  find_library(DNNL_LIBRARY dnnl REQUIRED)
  set(ignored_before ${CMAKE_IGNORE_PATH})
  if(LOOPBANK_TORCH_IS_WHOLE)
    list(APPEND CMAKE_IGNORE_PATH ${LOOPBANK_TORCH_INCLUDE})
  endif()
  find_path(DNNL_INCLUDE_DIR oneapi/dnnl/dnnl.hpp REQUIRED)
  set(CMAKE_IGNORE_PATH ${ignored_before})
  target_include_directories(loopbank::onednn SYSTEM INTERFACE ${DNNL_INCLUDE_DIR})
  target_compile_definitions(loopbank::onednn INTERFACE LOOPBANK_HAS_ONEDNN)
  if(LOOPBANK_TORCH_IS_WHOLE)
    # Opened by its name for programs (libdnnl.so.2), not linked: loopbank/ops/gemm/onednn.h says why.
    execute_process(COMMAND ${CMAKE_OBJDUMP} -p ${DNNL_LIBRARY} OUTPUT_VARIABLE dnnl_headers)
    if(NOT dnnl_headers MATCHES "SONAME +([^\n ]+)")
      message(FATAL_ERROR "expected a shared library with a SONAME in ${DNNL_LIBRARY}, got none.")
    endif()
    get_filename_component(dnnl_folder ${DNNL_LIBRARY} DIRECTORY)
    target_compile_definitions(loopbank::onednn INTERFACE
        LOOPBANK_ONEDNN_FILE="${dnnl_folder}/${CMAKE_MATCH_1}")
    target_link_libraries(loopbank::onednn INTERFACE ${CMAKE_DL_LIBS})
  else()
    target_link_libraries(loopbank::onednn INTERFACE ${DNNL_LIBRARY})
  endif()
endif()
