#include "tests/device/stand_in_device.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>
#include <ATen/ops/empty.h>
#include <c10/core/Allocator.h>
#include <c10/core/DeviceType.h>
#include <c10/core/TensorImpl.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <sys/mman.h>
#include <torch/library.h>
#include <torch/version.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "loopbank/ops/libtorch.h"

#if TORCH_VERSION_MAJOR >= 2
#include <ATen/detail/PrivateUse1HooksInterface.h>
#endif

namespace loopbank::testing {
namespace {

constexpr auto kType = c10::DeviceType::PrivateUse1;

std::atomic<int64_t> reads{0};

/// Memory mapped twice.
struct Mapping {
  void* closed = nullptr;  // what tensors point to
  void* open = nullptr;    // what operators use
  size_t bytes = 0;
};

void* map(int file, size_t bytes, int access) {
  void* const at = ::mmap(nullptr, bytes, access, MAP_SHARED, file, 0);
  if (at == MAP_FAILED) {
    throw std::runtime_error("stand-in device: no memory to map");
  }
  return at;
}

/// Mappings that no tensor uses, by size: making one takes longer than a small operator.
class Shelf {
 public:
  Mapping* take(size_t bytes) {
    const std::lock_guard lock(mutex_);
    auto& free = free_[bytes];
    if (free.empty()) {
      return nullptr;
    }
    auto* const mapping = free.back();
    free.pop_back();
    return mapping;
  }
  void put(Mapping* mapping) {
    const std::lock_guard lock(mutex_);
    free_[mapping->bytes].push_back(mapping);
  }

 private:
  std::mutex mutex_;
  std::map<size_t, std::vector<Mapping*>> free_;
};

Shelf& shelf() {
  static auto* const instance = new Shelf;  // outlives every tensor
  return *instance;
}

class Memory final : public ops::HostAllocator {
 public:
  [[nodiscard]] at::DataPtr block(size_t bytes) const override {
    constexpr size_t kPage = 4096;
    const auto whole = std::bit_ceil(std::max(bytes, kPage));
    auto* mapping = shelf().take(whole);
    if (mapping == nullptr) {
      mapping = made(whole);
    }
    return {mapping->closed, mapping, [](void* used) { shelf().put(static_cast<Mapping*>(used)); },
            at::Device(kType, 0)};
  }

 private:
  static Mapping* made(size_t bytes) {
    auto* mapping = new Mapping{.bytes = bytes};
    const int file = ::memfd_create("stand-in-device", MFD_CLOEXEC);
    if (file < 0 || ::ftruncate(file, static_cast<off_t>(mapping->bytes)) != 0) {
      throw std::runtime_error("stand-in device: no memory");
    }
    mapping->closed = map(file, mapping->bytes, PROT_NONE);
    mapping->open = map(file, mapping->bytes, PROT_READ | PROT_WRITE);
    ::close(file);
    return mapping;
  }
};

Memory& memory() {
  static Memory instance;
  return instance;
}

/// A tensor over a storage as it stands there.
at::Tensor over(c10::Storage storage, c10::DispatchKey key, caffe2::TypeMeta dtype,
                at::IntArrayRef sizes, at::IntArrayRef strides, int64_t offset) {
  auto tensor =
      at::detail::make_tensor<c10::TensorImpl>(std::move(storage), c10::DispatchKeySet(key), dtype);
  tensor.unsafeGetTensorImpl()->set_sizes_and_strides(sizes, strides, offset);
  return tensor;
}

/// The same values where the CPU's operators reach them: no copy.
at::Tensor opened(const at::Tensor& x) {
  const auto& storage = x.storage();
  const auto* const mapping = static_cast<const Mapping*>(storage.data_ptr().get_context());
  c10::Storage reachable(c10::Storage::use_byte_size_t(), storage.nbytes(),
                         at::DataPtr(mapping == nullptr ? nullptr : mapping->open, at::kCPU));
  return over(std::move(reachable), c10::DispatchKey::CPU, x.dtype(), x.sizes(), x.strides(),
              x.storage_offset());
}

at::Tensor new_on_device(at::IntArrayRef sizes, at::IntArrayRef strides, caffe2::TypeMeta dtype) {
  int64_t values = 1;
  for (size_t i = 0; i < sizes.size(); ++i) {
    values = sizes[i] == 0 ? 0 : values == 0 ? 0 : values + (sizes[i] - 1) * strides[i];
  }
  const auto bytes = static_cast<size_t>(values) * dtype.itemsize();
  c10::Storage storage(c10::Storage::use_byte_size_t(), bytes, memory().block(bytes), &memory(),
                       /*resizable=*/true);
  return over(std::move(storage), c10::DispatchKey::PrivateUse1, dtype, sizes, strides, 0);
}

std::vector<int64_t> dense_strides(at::IntArrayRef sizes) {
  std::vector<int64_t> strides(sizes.size(), 1);
  for (size_t i = sizes.size(); i-- > 1;) {
    strides[i - 1] = strides[i] * std::max<int64_t>(sizes[i], 1);
  }
  return strides;
}

at::Tensor moved_to_device(const at::Tensor& x) {
  const auto result = new_on_device(x.sizes(), x.strides(), x.dtype());
  opened(result).copy_(x);
  return result;
}

/// For operators that give a result its size late.
const at::Tensor& resize_(const at::Tensor& x, at::IntArrayRef sizes,
                          c10::optional<at::MemoryFormat>) {
  const auto whole = new_on_device(sizes, dense_strides(sizes), x.dtype());
  auto* const impl = x.unsafeGetTensorImpl();
  impl->set_storage_keep_dtype(whole.storage());
  impl->set_sizes_and_strides(whole.sizes(), whole.strides(), 0);
  return x;
}

/// One call of an operator: its tensors as the CPU sees them, and its results back on the device.
class Call {
 public:
  Call(const c10::OperatorHandle& op, torch::jit::Stack* stack) : op_(op), stack_(stack) {}

  void run() {
    const auto count = op_.schema().arguments().size();
    for (size_t i = 0; i < count; ++i) {
      auto& value = torch::jit::peek(*stack_, i, count);
      if (value.isTensor() && value.toTensor().defined()) {
        value = argument(value.toTensor());
      } else if (value.isTensorList()) {
        c10::List<at::Tensor> list;
        for (const auto& tensor : value.toTensorVector()) {
          list.push_back(tensor.defined() ? argument(tensor) : tensor);
        }
        value = std::move(list);
      } else if (value.isOptionalTensorList()) {
        c10::List<c10::optional<at::Tensor>> list;
        for (const c10::optional<at::Tensor> tensor : value.toOptionalTensorList()) {
          list.push_back(tensor && tensor->defined() ? argument(*tensor) : tensor);
        }
        value = std::move(list);
      } else if (value.isDevice()) {
        value = at::Device(at::kCPU);
      }
    }
    op_.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), stack_);
    for (size_t i = 0; i < seen_.size(); ++i) {
      if (seen_[i].sizes() != given_[i].sizes()) {
        resize_(given_[i], seen_[i].sizes(), c10::nullopt);
        opened(given_[i]).copy_(seen_[i]);
      }
    }
    results();
  }

 private:
  at::Tensor argument(const at::Tensor& x) {
    if (x.device().type() != kType) {
      // As on a GPU: single numbers may come from main memory, and indices.
      if (x.dim() > 0 && op_.schema().name().find("index") == std::string::npos) {
        throw std::runtime_error("stand-in device: " + op_.schema().name() +
                                 ": expected all tensors on the device, got one on the CPU");
      }
      return x;
    }
    given_.push_back(x);
    // What is empty may be a result whose size the operator gives it.
    seen_.push_back(x.numel() == 0 ? at::empty(x.sizes(), x.scalar_type()) : opened(x));
    return seen_.back();
  }

  void results() {
    const auto count = op_.schema().returns().size();
    for (size_t i = 0; i < count; ++i) {
      auto& value = torch::jit::peek(*stack_, i, count);
      if (value.isTensor() && value.toTensor().defined()) {
        value = result(value.toTensor());
      } else if (value.isTensorList()) {
        c10::List<at::Tensor> list;
        for (const auto& tensor : value.toTensorVector()) {
          list.push_back(result(tensor));
        }
        value = std::move(list);
      }
    }
    if (op_.schema().name() == "aten::_local_scalar_dense" ||
        op_.schema().name() == "aten::equal" || op_.schema().name() == "aten::nonzero") {
      ++reads;
    }
  }

  at::Tensor result(const at::Tensor& x) {
    for (size_t i = 0; i < seen_.size(); ++i) {
      if (x.is_same(seen_[i])) {
        return given_[i];  // computed in place
      }
    }
    for (size_t i = 0; i < seen_.size(); ++i) {
      const auto& storage = given_[i].storage();
      if (x.storage().is_alias_of(seen_[i].storage())) {  // a view
        return over(c10::Storage(storage), c10::DispatchKey::PrivateUse1, x.dtype(), x.sizes(),
                    x.strides(), x.storage_offset());
      }
    }
    return moved_to_device(x);
  }

  const c10::OperatorHandle& op_;
  torch::jit::Stack* stack_;
  std::vector<at::Tensor> given_;  // on the device
  std::vector<at::Tensor> seen_;   // the same for the CPU
};

void by_the_cpu(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  Call(op, stack).run();
}

caffe2::TypeMeta type_of(c10::optional<at::ScalarType> dtype) {
  return c10::scalarTypeToTypeMeta(dtype.value_or(at::kFloat));
}

at::Tensor empty(at::IntArrayRef sizes, c10::optional<at::ScalarType> dtype,
                 c10::optional<at::Layout>, c10::optional<at::Device>, c10::optional<bool>,
                 c10::optional<at::MemoryFormat>) {
  return new_on_device(sizes, dense_strides(sizes), type_of(dtype));
}

at::Tensor empty_strided(at::IntArrayRef sizes, at::IntArrayRef strides,
                         c10::optional<at::ScalarType> dtype, c10::optional<at::Layout>,
                         c10::optional<at::Device>, c10::optional<bool>) {
  return new_on_device(sizes, strides, type_of(dtype));
}

/// Between devices, either way.
at::Tensor& copy_(at::Tensor& to, const at::Tensor& from, bool) {
  const auto reachable = [](const at::Tensor& x) {
    return x.device().type() == kType ? opened(x) : x.detach();
  };
  reads += to.is_cpu() ? 1 : 0;
  reachable(to).copy_(reachable(from));
  return to;
}

/// One device with one stream: everything is done when it is asked for.
struct Guard final : public c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override { return kType; }
  at::Device exchangeDevice(at::Device) const override { return getDevice(); }
  at::Device getDevice() const override { return {kType, 0}; }
  void setDevice(at::Device) const override {}
  void uncheckedSetDevice(at::Device) const noexcept override {}
  c10::Stream getStream(at::Device device) const noexcept override {
    return c10::Stream(c10::Stream::DEFAULT, device);
  }
  c10::Stream exchangeStream(c10::Stream stream) const noexcept override { return stream; }
  c10::DeviceIndex deviceCount() const noexcept override { return 1; }
  void record(void**, const c10::Stream&, const c10::DeviceIndex,
              const c10::EventFlag) const override {}
  void block(void*, const c10::Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
  void destroyEvent(void*, const c10::DeviceIndex) const noexcept override {}
};

#if TORCH_VERSION_MAJOR >= 2
/// What LibTorch asks a device of somebody else's; some of it since 2.7, so without `override`.
struct Hooks : public at::PrivateUse1HooksInterface {
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  virtual bool isBuilt() const { return true; }
  virtual bool isAvailable() const { return true; }
};
#endif

const int registered = [] {
  static auto library = torch::Library(torch::Library::IMPL, "aten", c10::DispatchKey::PrivateUse1,
                                       __FILE__, __LINE__);
  library.impl("empty.memory_format", TORCH_FN(empty));
  library.impl("empty_strided", TORCH_FN(empty_strided));
  library.impl("copy_", TORCH_FN(copy_));
  library.impl("resize_", TORCH_FN(resize_));
  static auto others =
      torch::Library(torch::Library::IMPL, "_", c10::DispatchKey::PrivateUse1, __FILE__, __LINE__);
  others.fallback(torch::CppFunction::makeFromBoxedFunction<&by_the_cpu>());
  c10::SetAllocator(kType, &memory());
#if TORCH_VERSION_MAJOR >= 2
  c10::register_privateuse1_backend("standin");  // the backward pass asks which device there is
  at::RegisterPrivateUse1HooksInterface(new Hooks);
#endif
  return 0;
}();

C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard)

}  // namespace

at::Device stand_in_device() {
  static_cast<void>(registered);
  return {kType, 0};
}

int64_t num_device_reads() {
  return reads;
}

}  // namespace loopbank::testing
