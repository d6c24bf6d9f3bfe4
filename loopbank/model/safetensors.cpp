#include "loopbank/model/safetensors.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <string_view>

#include "loopbank/support/files.h"
#include "loopbank/support/json.h"
#include "loopbank/support/suggest.h"

namespace loopbank {
namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

constexpr uint64_t kLengthBytes = 8;
// The format's own bound on a header.
constexpr uint64_t kLargestHeaderBytes = 100'000'000;

struct StoredType {
  std::string_view name;
  at::ScalarType type;
  uint64_t bytes;
};

constexpr std::array<StoredType, 10> kStoredTypes = {{{"F64", at::kDouble, 8},
                                                      {"F32", at::kFloat, 4},
                                                      {"F16", at::kHalf, 2},
                                                      {"BF16", at::kBFloat16, 2},
                                                      {"I64", at::kLong, 8},
                                                      {"I32", at::kInt, 4},
                                                      {"I16", at::kShort, 2},
                                                      {"I8", at::kChar, 1},
                                                      {"U8", at::kByte, 1},
                                                      {"BOOL", at::kBool, 1}}};

/// One tensor as the header describes it; `begin` and `end` count from the first data byte.
struct Entry {
  std::string name;
  const StoredType* type = nullptr;
  std::vector<int64_t> shape;
  uint64_t begin = 0;
  uint64_t end = 0;
};

constexpr const char* kWriteAnew = "Write the file anew or fetch it again.";

template <typename... Args>
[[noreturn]] void fail_file(const fs::path& path, fmt::format_string<Args...> format,
                            Args&&... args) {
  const auto problem = fmt::format(format, std::forward<Args>(args)...);
  throw Error(ErrorCode::kCheckpoint, path.string() + ": " + problem + " " + kWriteAnew);
}

/// A value for an error line: a broken header can be megabytes long.
std::string shown(const Json& value) {
  constexpr size_t kLongest = 120;
  auto text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  return text.size() > kLongest ? text.substr(0, kLongest) + "..." : text;
}

/// The format has a header begin with its brace, without a mark or blanks before it; behind it
/// blanks may stand, and nothing else.
Json parse_header(const fs::path& path, std::string_view text) {
  if (!text.starts_with('{')) {
    fail_file(path, "expected a header that begins with '{{', got {}.",
              text.empty() ? "none" : shown(std::string(text.substr(0, 1))));
  }
  auto header = parse_json(
      text, path.string() + ": header",
      {.code = ErrorCode::kCheckpoint, .expected = "a JSON object", .remedy = kWriteAnew});
  return header;
}

const Json& member(const fs::path& path, const std::string& name, const Json& entry,
                   const char* key) {
  if (!entry.is_object() || !entry.contains(key)) {
    fail_file(path, "tensor \"{}\": expected an object with dtype, shape and data_offsets, got {}.",
              name, shown(entry));
  }
  return entry.at(key);
}

const StoredType& stored_type(const fs::path& path, const std::string& name, const Json& dtype) {
  std::vector<std::string> known;
  for (const auto& type : kStoredTypes) {
    if (dtype == type.name) {
      return type;
    }
    known.emplace_back(type.name);
  }
  fail(ErrorCode::kCheckpoint, "{}: tensor \"{}\": expected a known dtype, got {}.{}",
       path.string(), name, shown(dtype),
       suggestion(dtype.is_string() ? dtype.get<std::string>() : shown(dtype), known));
}

/// Whole numbers of a JSON list, each in [0, 2^63).
std::vector<int64_t> counts(const fs::path& path, const std::string& name, const char* key,
                            const Json& list) {
  std::vector<int64_t> values;
  bool good = list.is_array();
  for (size_t i = 0; good && i < list.size(); ++i) {
    good = list[i].is_number_unsigned() &&
           list[i].get<uint64_t>() <= uint64_t{std::numeric_limits<int64_t>::max()};
    if (good) {
      values.push_back(list[i].get<int64_t>());
    }
  }
  if (!good) {
    fail_file(path, "tensor \"{}\": \"{}\" expects a list of whole numbers from 0, got {}.", name,
              key, shown(list));
  }
  return values;
}

/// Bytes of shape * dtype; the product is checked step by step, so that it cannot wrap.
uint64_t num_bytes(const fs::path& path, const Entry& entry) {
  uint64_t bytes = entry.type->bytes;
  bool empty = false;
  for (const auto size : entry.shape) {
    uint64_t product = 0;
    // An empty side counts as one: the others must be sizes that a tensor can have all the same.
    if (__builtin_mul_overflow(bytes, static_cast<uint64_t>(std::max<int64_t>(size, 1)),
                               &product) ||
        product > uint64_t{std::numeric_limits<int64_t>::max()}) {
      fail_file(path, "tensor \"{}\": expected a shape whose bytes fit in 63 bits, got {}.",
                entry.name, shown(entry.shape));
    }
    bytes = product;
    empty = empty || size == 0;
  }
  return empty ? 0 : bytes;
}

Entry parse_entry(const fs::path& path, const std::string& name, const Json& json,
                  uint64_t data_bytes) {
  Entry entry;
  entry.name = name;
  if (std::any_of(json.begin(), json.end(), is_unreadable)) {
    fail_file(path, "tensor \"{}\": expected JSON, got a NaN or the like.", name);
  }
  entry.type = &stored_type(path, name, member(path, name, json, "dtype"));
  entry.shape = counts(path, name, "shape", member(path, name, json, "shape"));
  const auto offsets = counts(path, name, "data_offsets", member(path, name, json, "data_offsets"));
  if (offsets.size() != 2 || offsets[0] > offsets[1]) {
    fail_file(path, "tensor \"{}\": \"data_offsets\" expects [begin, end], begin first, got {}.",
              name, shown(json.at("data_offsets")));
  }
  entry.begin = static_cast<uint64_t>(offsets[0]);
  entry.end = static_cast<uint64_t>(offsets[1]);
  if (entry.end > data_bytes) {
    fail_file(path, "tensor \"{}\": expected data within the file's {} data bytes, got [{}, {}].",
              name, data_bytes, entry.begin, entry.end);
  }
  if (const auto expected = num_bytes(path, entry); expected != entry.end - entry.begin) {
    fail_file(path, "tensor \"{}\": expected {} bytes for {} {}, got {} bytes at [{}, {}].", name,
              expected, entry.type->name, shown(entry.shape), entry.end - entry.begin, entry.begin,
              entry.end);
  }
  return entry;
}

std::map<std::string, std::string> parse_metadata(const fs::path& path, const Json& json) {
  std::map<std::string, std::string> metadata;
  if (json.is_null()) {
    return metadata;  // as the format's own package reads it
  }
  const bool good =
      json.is_object() &&
      std::all_of(json.begin(), json.end(), [](const Json& value) { return value.is_string(); });
  if (!good) {
    fail_file(path, "\"__metadata__\" expects texts by name, got {}.", shown(json));
  }
  for (const auto& [key, value] : json.items()) {
    metadata[key] = value.get<std::string>();
  }
  return metadata;
}

/// A byte that is neither 0 nor 1 is no bool: reading it as one is undefined.
void check_bools(const fs::path& path, const Entry& entry, std::string_view bytes) {
  const auto wrong =
      std::find_if(bytes.begin(), bytes.end(), [](char b) { return b != 0 && b != 1; });
  if (entry.type->type == at::kBool && wrong != bytes.end()) {
    fail_file(path, "tensor \"{}\": expected BOOL bytes 0 and 1, got {} at element {}.", entry.name,
              static_cast<int>(static_cast<unsigned char>(*wrong)), wrong - bytes.begin());
  }
}

/// In file order the tensors must cover the data without overlap, hole or rest: bytes that no
/// tensor owns could hide anything, and shared ones would change together.
void check_coverage(const fs::path& path, const std::vector<Entry>& entries, uint64_t data_bytes) {
  uint64_t covered = 0;
  for (const auto& entry : entries) {
    if (entry.begin != covered) {
      fail_file(path, "tensor \"{}\": expected to start at data byte {}, got {} ({}).", entry.name,
                covered, entry.begin, entry.begin < covered ? "overlap" : "hole");
    }
    covered = entry.end;
  }
  if (covered != data_bytes) {
    fail_file(path, "expected {} data bytes after the header as its tensors say, got {}.", covered,
              data_bytes);
  }
}

std::string_view header_text(const fs::path& path, std::string_view bytes) {
  if (bytes.size() < kLengthBytes) {
    fail_file(path, "expected at least {} bytes of header length, got {}.", kLengthBytes,
              bytes.size());
  }
  uint64_t length = 0;
  for (uint64_t i = 0; i < kLengthBytes; ++i) {
    length |= uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
  }
  const uint64_t limit = std::min(kLargestHeaderBytes, bytes.size() - kLengthBytes);
  if (length > limit) {
    fail_file(path, "expected a header of at most {} bytes (the file has {}), got a length of {}.",
              limit, bytes.size(), length);
  }
  return bytes.substr(kLengthBytes, length);
}

/// A tensor of its own memory, so that data which starts unaligned is read all the same.
at::Tensor copied(const Entry& entry, std::string_view stored) {
  auto tensor = at::empty(entry.shape, at::TensorOptions().dtype(entry.type->type));
  if (!stored.empty()) {
    std::memcpy(tensor.data_ptr(), stored.data(), stored.size());
  }
  return tensor;
}

/// @param tensor_of  makes a tensor of an entry and its bytes
template <typename TensorOf>
SafetensorsContent read_content(const fs::path& path, const MappedFile& file,
                                const TensorOf& tensor_of) {
  const std::string_view bytes(reinterpret_cast<const char*>(file.bytes().data()),
                               file.bytes().size());
  const auto text = header_text(path, bytes);
  const auto data = bytes.substr(kLengthBytes + text.size());
  SafetensorsContent content;
  std::vector<Entry> entries;
  const auto header = parse_header(path, text);
  for (const auto& [name, json] : header.items()) {
    if (name == "__metadata__") {
      content.metadata = parse_metadata(path, json);
    } else {
      entries.push_back(parse_entry(path, name, json, data.size()));
    }
  }
  std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  check_coverage(path, entries, data.size());
  for (const auto& entry : entries) {
    const auto stored = data.substr(entry.begin, entry.end - entry.begin);
    check_bools(path, entry, stored);
    content.tensors.emplace_back(entry.name, tensor_of(entry, stored));
  }
  return content;
}

const StoredType& type_to_store(const fs::path& path, const std::string& name,
                                const at::Tensor& tensor) {
  const auto found =
      std::find_if(kStoredTypes.begin(), kStoredTypes.end(),
                   [&](const StoredType& type) { return type.type == tensor.scalar_type(); });
  if (found == kStoredTypes.end()) {
    fail(ErrorCode::kCheckpoint, "{}: tensor \"{}\": expected a dtype of the format, got {}.",
         path.string(), name, c10::toString(tensor.scalar_type()));
  }
  return *found;
}

/// The order in which the tensors' bytes stand: wide types first, so that each starts aligned.
std::vector<size_t> storage_order(const fs::path& path, const NamedTensors& tensors) {
  std::vector<size_t> order(tensors.size());
  for (size_t i = 0; i < order.size(); ++i) {
    order[i] = i;
  }
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return type_to_store(path, tensors[a].first, tensors[a].second).bytes >
           type_to_store(path, tensors[b].first, tensors[b].second).bytes;
  });
  return order;
}

/// The header with its length in front, padded with spaces so that the data starts 8-aligned.
std::string make_header(const fs::path& path, const NamedTensors& tensors,
                        const std::vector<size_t>& order,
                        const std::map<std::string, std::string>& metadata) {
  auto header = nlohmann::ordered_json::object();
  if (!metadata.empty()) {
    header["__metadata__"] = metadata;
  }
  uint64_t begin = 0;
  for (const auto i : order) {
    const auto& [name, tensor] = tensors[i];
    if (name == "__metadata__" || header.contains(name)) {
      fail(ErrorCode::kCheckpoint, "{}: expected every tensor name once, got \"{}\" again.",
           path.string(), name);
    }
    const auto end = begin + static_cast<uint64_t>(tensor.numel()) * tensor.element_size();
    header[name] = {{"dtype", type_to_store(path, name, tensor).name},
                    {"shape", tensor.sizes().vec()},
                    {"data_offsets", {begin, end}}};
    begin = end;
  }
  auto text = header.dump();
  text.resize((text.size() + kLengthBytes - 1) / kLengthBytes * kLengthBytes, ' ');
  std::string bytes;
  for (uint64_t i = 0; i < kLengthBytes; ++i) {
    bytes.push_back(static_cast<char>(text.size() >> (8 * i) & 0xFFU));
  }
  return bytes + text;
}

}  // namespace

SafetensorsContent read_safetensors(const fs::path& path) {
  const MappedFile file(path, ErrorCode::kCheckpoint);
  return read_content(path, file, copied);
}

SafetensorsContent map_safetensors(const fs::path& path) {
  const auto file = std::make_shared<const MappedFile>(path, ErrorCode::kCheckpoint,
                                                       MappedFile::Access::kCopyOnWrite);
  return read_content(path, *file, [&](const Entry& entry, std::string_view stored) {
    const bool aligned = reinterpret_cast<uintptr_t>(stored.data()) % entry.type->bytes == 0;
    if (stored.empty() || !aligned) {
      return copied(entry, stored);
    }
    return at::from_blob(
        const_cast<char*>(stored.data()), entry.shape, [file](void*) {},
        at::TensorOptions().dtype(entry.type->type));
  });
}

void write_safetensors(const fs::path& path, const NamedTensors& tensors,
                       const std::map<std::string, std::string>& metadata) {
  const auto order = storage_order(path, tensors);
  const auto header = make_header(path, tensors, order, metadata);
  AtomicFile file(path, ErrorCode::kCheckpoint);
  file.writer().write(header);
  for (const auto i : order) {
    const auto tensor = tensors[i].second.detach().to(at::kCPU).contiguous();
    file.writer().write(tensor.data_ptr(), static_cast<size_t>(tensor.nbytes()));
  }
  file.commit();
}

}  // namespace loopbank
