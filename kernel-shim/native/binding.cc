// The addon, as runtime/mechanisms/addon.ts describes it. Node-API only, so one binary serves every Node since 20.
//
// Who keeps whom alive (arrows are what JavaScript holds, so a cycle alone keeps nothing alive):
//
//     Memory ---> ArrayBuffer <------------- handle (WatchedMemory)
//                      |                       ^    |
//                      `--- WeakMap entry -----'    `--> Record ---> Watched (core)
//                                                           `- - - the ArrayBuffer, held weakly
//
// The handle holds the buffer by a property, the buffer holds the handle as a key of the WeakMap `watched`. So both
// live while either is reachable, and die in the same collection. By then the memory may be unmapped, or another
// memory may lie there: the finalizer only drops the record and never touches the range.
//
// A memory that grows gets a new ArrayBuffer, and the old one has no bytes any more. Every method compares, so that
// a growth that nobody told us of is an error, and not a write into memory that is somebody else's by now.
#include <node_api.h>

#include <cerrno>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include "core/mechanisms.h"

namespace {

using belay::kPageBytes;
using belay::Mechanism;
using belay::Outcome;
using belay::Watched;

constexpr size_t kMaxPages = size_t{1} << 32;  // page numbers have 32 bits
constexpr napi_type_tag kTag = {0x62656c61792d6d65, 0x6d6f72792d763031};
const char kBufferProperty[] = "belay.buffer";

// What an environment (the main thread or a worker) has of ours.
struct Environment {
  napi_ref constructor = nullptr;  // of the handles
  napi_ref watched = nullptr;      // WeakMap: ArrayBuffer -> handle
  napi_ref get = nullptr, set = nullptr, remove = nullptr;  // its methods, as they were
  napi_ref symbol = nullptr;       // key of the handle's property that holds the buffer
};

struct Record {
  Watched* memory;           // null after detach()
  napi_ref buffer = nullptr; // weak
  bool broken = false;       // resized() failed
};

napi_value failWith(napi_env env, napi_status (*make)(napi_env, napi_value, napi_value, napi_value*), const char* code,
                    const char* format, va_list list) {
  bool pending = false;
  if (napi_is_exception_pending(env, &pending) != napi_ok || pending) return nullptr;
  char text[512];
  vsnprintf(text, sizeof text, format, list);
  napi_value message, codeValue = nullptr, error;
  if (napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &message) != napi_ok) return nullptr;
  if (code && napi_create_string_utf8(env, code, NAPI_AUTO_LENGTH, &codeValue) != napi_ok) return nullptr;
  if (make(env, codeValue, message, &error) == napi_ok) napi_throw(env, error);
  return nullptr;
}

#define BELAY_FAIL(name, make)                                                                     \
  __attribute__((format(printf, 2, 3))) napi_value name(napi_env env, const char* format, ...) {   \
    va_list list;                                                                                  \
    va_start(list, format);                                                                        \
    failWith(env, make, nullptr, format, list);                                                    \
    va_end(list);                                                                                  \
    return nullptr;                                                                                \
  }
BELAY_FAIL(typeError, napi_create_type_error)
BELAY_FAIL(rangeError, napi_create_range_error)
BELAY_FAIL(plainError, napi_create_error)
#undef BELAY_FAIL

__attribute__((format(printf, 3, 4))) napi_value codedError(napi_env env, const char* code, const char* format, ...) {
  va_list list;
  va_start(list, format);
  failWith(env, napi_create_error, code, format, list);
  va_end(list);
  return nullptr;
}

const char* codeOf(int error) {
  switch (error) {
    case EACCES: return "EACCES";
    case EAGAIN: return "EAGAIN";
    case EBUSY: return "EBUSY";
    case EEXIST: return "EEXIST";
    case EFAULT: return "EFAULT";
    case EINVAL: return "EINVAL";
    case EIO: return "EIO";
    case EMFILE: return "EMFILE";
    case ENFILE: return "ENFILE";
    case ENODEV: return "ENODEV";
    case ENOENT: return "ENOENT";
    case ENOMEM: return "ENOMEM";
    case ENOSYS: return "ENOSYS";
    case ENOTTY: return "ENOTTY";
    case ENOTSUP: return "ENOTSUP";
    case EPERM: return "EPERM";
    default: return "EUNKNOWN";
  }
}

napi_value systemError(napi_env env, const char* method, const Outcome& outcome) {
  return codedError(env, codeOf(outcome.error), "%s: %s failed: %s", method, outcome.attempted,
                    strerror(outcome.error));
}

// For calls that fail only when Node is out of memory or ending; an exception may be pending then.
napi_value internalError(napi_env env) { return plainError(env, "the addon could not use Node-API"); }

Environment* environmentOf(napi_env env) {
  void* data = nullptr;
  napi_get_instance_data(env, &data);
  return static_cast<Environment*>(data);
}

napi_value valueOf(napi_env env, napi_ref reference) {
  napi_value value = nullptr;
  if (reference) napi_get_reference_value(env, reference, &value);
  return value;
}

napi_value undefined(napi_env env) {
  napi_value value = nullptr;
  napi_get_undefined(env, &value);
  return value;
}

napi_value numberOf(napi_env env, double number) {
  napi_value value = nullptr;
  napi_create_double(env, number, &value);
  return value;
}

bool isUndefined(napi_env env, napi_value value) {
  napi_valuetype type;
  return napi_typeof(env, value, &type) == napi_ok && type == napi_undefined;
}

// A whole number from 0 to 2^53 - 1, or false.
bool wholeNumber(napi_env env, napi_value value, size_t* number) {
  double read;
  if (napi_get_value_double(env, value, &read) != napi_ok) return false;
  if (!(read >= 0 && read <= 9007199254740991.0) || std::floor(read) != read) return false;
  *number = static_cast<size_t>(read);
  return true;
}

bool uint32Array(napi_env env, napi_value value, uint32_t** data, size_t* length) {
  bool is = false;
  if (napi_is_typedarray(env, value, &is) != napi_ok || !is) return false;
  napi_typedarray_type type;
  void* bytes = nullptr;
  if (napi_get_typedarray_info(env, value, &type, length, &bytes, nullptr, nullptr) != napi_ok) return false;
  *data = static_cast<uint32_t*>(bytes);
  return type == napi_uint32_array;
}

// Checks that `value` is a buffer that can be watched, and throws where it is not.
bool wasmBuffer(napi_env env, napi_value value, const char* method, uint8_t** base, size_t* bytes) {
  bool is = false;
  napi_is_arraybuffer(env, value, &is);
  if (!is) {
    typeError(env, "%s: give the ArrayBuffer of a WebAssembly.Memory (shared memories cannot be watched)", method);
    return false;
  }
  void* data = nullptr;
  if (napi_get_arraybuffer_info(env, value, &data, bytes) != napi_ok) return internalError(env) != nullptr;
  *base = static_cast<uint8_t*>(data);
  if (*bytes == 0) {
    rangeError(env, "%s: the buffer has no bytes; it is empty, or detached because its memory has grown", method);
    return false;
  }
  if (reinterpret_cast<uintptr_t>(data) % kPageBytes != 0 || *bytes % kPageBytes != 0) {
    rangeError(env, "%s: the buffer does not consist of whole pages, so it is no WebAssembly.Memory's", method);
    return false;
  }
  if (*bytes / kPageBytes >= kMaxPages) {
    rangeError(env, "%s: a memory of %zu bytes has more pages than there are page numbers", method, *bytes);
    return false;
  }
  return true;
}

bool mechanismOf(napi_env env, napi_value value, const char* method, Mechanism* mechanism) {
  char name[16] = "";
  size_t length = 0;
  if (napi_get_value_string_utf8(env, value, name, sizeof name, &length) == napi_ok) {
    if (strcmp(name, "mprotect") == 0) return *mechanism = Mechanism::mprotect, true;
    if (strcmp(name, "uffd") == 0) return *mechanism = Mechanism::uffd, true;
    if (strcmp(name, "uffd-async") == 0) return *mechanism = Mechanism::uffdAsync, true;
  }
  typeError(env, "%s: the mechanism is 'mprotect', 'uffd' or 'uffd-async'", method);
  return false;
}

// A call of a method of a handle: its arguments, and the record behind `this`.
struct Call {
  static constexpr size_t kMost = 2;

  // Throws and stays invalid where `this` is no handle.
  Call(napi_env env, napi_callback_info info, const char* name) : env(env), method(name) {
    size_t count = kMost;
    if (napi_get_cb_info(env, info, &count, arguments, &self, nullptr) != napi_ok) return;
    bool tagged = false;
    napi_valuetype type;
    if (napi_typeof(env, self, &type) == napi_ok && type == napi_object) {
      napi_check_object_type_tag(env, self, &kTag, &tagged);
    }
    void* data = nullptr;
    if (!tagged || napi_unwrap(env, self, &data) != napi_ok) {
      typeError(env, "%s: called on something that is no watched memory", method);
      return;
    }
    record = static_cast<Record*>(data);
  }

  // Throws and returns null where the memory cannot be used, too.
  Watched* memory(bool mayHaveGrown = false) {
    if (!record) return nullptr;
    if (!record->memory) {
      plainError(env, "%s: called after detach()", method);
      return nullptr;
    }
    if (!mayHaveGrown && record->memory->purged()) {
      plainError(env, "%s: this memory is watched through another handle now", method);
      return nullptr;
    }
    if (record->broken) {
      plainError(env, "%s: resized() failed before; detach() and attach the memory again", method);
      return nullptr;
    }
    if (!mayHaveGrown && !isCurrent()) {
      plainError(env, "%s: the memory has grown; call resized(memory.buffer) first", method);
      return nullptr;
    }
    return record->memory;
  }

  // Does the buffer that we know still have the bytes that we watch?
  bool isCurrent() const {
    napi_value buffer = valueOf(env, record->buffer);
    void* data = nullptr;
    size_t bytes = 0;
    return buffer && napi_get_arraybuffer_info(env, buffer, &data, &bytes) == napi_ok &&
           data == record->memory->base() && bytes == record->memory->bytes();
  }

  napi_env env;
  const char* method;
  napi_value self = nullptr;
  napi_value arguments[kMost] = {};
  Record* record = nullptr;
};

napi_value checkpoint(napi_env env, napi_callback_info info) {
  Call call(env, info, "checkpoint");
  Watched* memory = call.memory();
  if (!memory) return nullptr;
  uint32_t* ahead = nullptr;
  size_t length = 0;
  if (!isUndefined(env, call.arguments[0]) && !uint32Array(env, call.arguments[0], &ahead, &length)) {
    return typeError(env, "checkpoint: the pages ahead are a Uint32Array");
  }
  size_t count = length;
  if (!isUndefined(env, call.arguments[1]) &&
      (!wholeNumber(env, call.arguments[1], &count) || count > length)) {
    return rangeError(env, "checkpoint: the count is a whole number from 0 to the %zu pages given", length);
  }
  if (count > 0 && memory->signal() == 0) return typeError(env, "checkpoint: uffd-async takes no pages ahead");
  for (size_t i = 0; i < count; i++) {
    if (ahead[i] >= memory->pages()) {
      return rangeError(env, "checkpoint: page %u ahead is beyond the memory's %zu pages", ahead[i], memory->pages());
    }
  }
  const Outcome outcome = memory->checkpoint(ahead, count);
  return outcome.failed() ? systemError(env, "checkpoint", outcome) : undefined(env);
}

napi_value rollback(napi_env env, napi_callback_info info) {
  Call call(env, info, "rollback");
  Watched* memory = call.memory();
  if (!memory) return nullptr;
  if (!memory->hasCheckpoint()) return plainError(env, "rollback: there was no checkpoint() to return to");
  size_t restored = 0;
  const Outcome outcome = memory->rollback(&restored);
  return outcome.failed() ? systemError(env, "rollback", outcome) : numberOf(env, static_cast<double>(restored));
}

napi_value touch(napi_env env, napi_callback_info info) {
  Call call(env, info, "touch");
  Watched* memory = call.memory();
  if (!memory) return nullptr;
  size_t offset, length;
  if (!wholeNumber(env, call.arguments[0], &offset) || !wholeNumber(env, call.arguments[1], &length)) {
    return typeError(env, "touch: offset and length are whole numbers of bytes");
  }
  if (offset > memory->bytes() || length > memory->bytes() - offset) {
    return rangeError(env, "touch: %zu bytes at %zu are beyond the memory's %zu bytes", length, offset,
                      memory->bytes());
  }
  if (length == 0) return undefined(env);
  const Outcome outcome = memory->touch(offset / kPageBytes, (offset + length - 1) / kPageBytes + 1);
  return outcome.failed() ? systemError(env, "touch", outcome) : undefined(env);
}

// The handle that watches a buffer, or undefined.
bool watchedBy(napi_env env, napi_value buffer, napi_value* handle) {
  Environment* own = environmentOf(env);
  return napi_call_function(env, valueOf(env, own->watched), valueOf(env, own->get), 1, &buffer, handle) == napi_ok;
}

// Makes handle and buffer keep each other alive, and the record know the buffer.
bool tie(napi_env env, napi_value handle, napi_value buffer, Record* record) {
  Environment* own = environmentOf(env);
  napi_value map = valueOf(env, own->watched), set = valueOf(env, own->set), symbol = valueOf(env, own->symbol);
  napi_value pair[] = {buffer, handle};
  napi_ref reference = nullptr;
  if (napi_set_property(env, handle, symbol, buffer) != napi_ok ||
      napi_call_function(env, map, set, 2, pair, nullptr) != napi_ok ||
      napi_create_reference(env, buffer, 0, &reference) != napi_ok) {
    return false;
  }
  if (record->buffer) napi_delete_reference(env, record->buffer);
  record->buffer = reference;
  return true;
}

void untie(napi_env env, Record* record) {
  Environment* own = environmentOf(env);
  napi_value buffer = valueOf(env, record->buffer);
  if (buffer) napi_call_function(env, valueOf(env, own->watched), valueOf(env, own->remove), 1, &buffer, nullptr);
  if (record->buffer) napi_delete_reference(env, record->buffer);
  record->buffer = nullptr;
}

napi_value resized(napi_env env, napi_callback_info info) {
  Call call(env, info, "resized");
  Watched* memory = call.memory(true);
  if (!memory) return nullptr;
  uint8_t* base;
  size_t bytes;
  if (!wasmBuffer(env, call.arguments[0], "resized", &base, &bytes)) return nullptr;
  if (bytes < memory->bytes()) {
    return rangeError(env, "resized: %zu bytes are fewer than the %zu before; a memory cannot shrink", bytes,
                      memory->bytes());
  }
  // It may have moved only if the buffer that we know is gone.
  if (base != memory->base() && call.isCurrent()) {
    return rangeError(env, "resized: this is the buffer of another memory");
  }
  napi_value other = nullptr;
  bool own = false;
  if (!watchedBy(env, call.arguments[0], &other)) return internalError(env);
  if (!isUndefined(env, other) && (napi_strict_equals(env, other, call.self, &own) != napi_ok || !own)) {
    return codedError(env, "EBUSY", "resized: this memory is watched through another handle now");
  }
  const Outcome outcome = belay::rewatch(memory, base, bytes);
  call.record->broken = outcome.failed();
  if (outcome.failed()) return systemError(env, "resized", outcome);
  if (!tie(env, call.self, call.arguments[0], call.record)) return internalError(env);
  return undefined(env);
}

// The pages that a method of Watched lists, into the array given.
napi_value listed(napi_env env, napi_callback_info info, const char* name,
                  Outcome (Watched::*list)(uint32_t*, size_t, size_t*)) {
  Call call(env, info, name);
  Watched* memory = call.memory();
  if (!memory) return nullptr;
  uint32_t* out;
  size_t room, count = 0;
  if (!uint32Array(env, call.arguments[0], &out, &room)) {
    return typeError(env, "%s: the pages are written into a Uint32Array", name);
  }
  const Outcome outcome = (memory->*list)(out, room, &count);
  return outcome.failed() ? systemError(env, name, outcome) : numberOf(env, static_cast<double>(count));
}

napi_value faulted(napi_env env, napi_callback_info info) { return listed(env, info, "faulted", &Watched::faulted); }

napi_value written(napi_env env, napi_callback_info info) { return listed(env, info, "written", &Watched::written); }

napi_value changed(napi_env env, napi_callback_info info) {
  Call call(env, info, "changed");
  Watched* memory = call.memory();
  if (!memory) return nullptr;
  size_t page;
  if (!wholeNumber(env, call.arguments[0], &page)) return typeError(env, "changed: the page is a whole number");
  if (page >= memory->pages()) {
    return rangeError(env, "changed: page %zu is beyond the memory's %zu pages", page, memory->pages());
  }
  napi_value result = nullptr;
  napi_get_boolean(env, memory->changed(page), &result);
  return result;
}

napi_value stats(napi_env env, napi_callback_info info) {
  Call call(env, info, "stats");
  Watched* memory = call.memory(true);
  if (!memory) return nullptr;
  const belay::Stats now = memory->stats();
  const struct {
    const char* name;
    uint64_t value;
  } all[] = {{"faults", now.faults},
             {"copiedAhead", now.copiedAhead},
             {"pagesSaved", now.pagesSaved},
             {"openedWhole", now.openedWhole},
             {"supportBytes", now.supportBytes}};
  napi_value result;
  if (napi_create_object(env, &result) != napi_ok) return internalError(env);
  for (const auto& one : all) {
    napi_set_named_property(env, result, one.name, numberOf(env, static_cast<double>(one.value)));
  }
  return result;
}

napi_value detach(napi_env env, napi_callback_info info) {
  Call call(env, info, "detach");
  if (!call.record) return nullptr;
  Watched* memory = call.record->memory;
  if (!memory) return undefined(env);
  // Where the memory has grown behind our back, what we know of may be gone: it is only forgotten. The growth
  // has made all pages writable, and userfaultfd lets go of what it had.
  if (memory->purged() || call.record->broken || !call.isCurrent()) {
    belay::abandon(memory);
  } else if (const Outcome outcome = belay::unwatch(memory); outcome.failed()) {
    return systemError(env, "detach", outcome);
  }
  call.record->memory = nullptr;
  untie(env, call.record);
  return undefined(env);
}

void finalize(napi_env env, void* data, void*) {
  auto* record = static_cast<Record*>(data);
  if (record->memory) belay::abandon(record->memory);
  if (record->buffer) napi_delete_reference(env, record->buffer);
  delete record;
}

napi_value construct(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value self, argument;
  if (napi_get_cb_info(env, info, &count, &argument, &self, nullptr) != napi_ok) return nullptr;
  napi_valuetype type = napi_undefined;
  void* data = nullptr;
  if (count == 1) napi_typeof(env, argument, &type);
  if (type != napi_external || napi_get_value_external(env, argument, &data) != napi_ok) {
    return typeError(env, "a watched memory is made by attach()");
  }
  if (napi_wrap(env, self, data, finalize, nullptr, nullptr) != napi_ok) return internalError(env);
  if (napi_type_tag_object(env, self, &kTag) != napi_ok) return internalError(env);
  napi_value none = undefined(env);
  const napi_property_descriptor property = {nullptr,      valueOf(env, environmentOf(env)->symbol),
                                             nullptr,      nullptr,
                                             nullptr,      none,
                                             napi_writable, nullptr};
  if (napi_define_properties(env, self, 1, &property) != napi_ok) return internalError(env);
  return self;
}

napi_value attach(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value arguments[2];
  if (napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr) != napi_ok) return nullptr;
  uint8_t* base;
  size_t bytes;
  Mechanism mechanism;
  if (!wasmBuffer(env, arguments[0], "attach", &base, &bytes)) return nullptr;
  if (!mechanismOf(env, arguments[1], "attach", &mechanism)) return nullptr;
  Environment* own = environmentOf(env);
  napi_value earlier = nullptr;
  if (!watchedBy(env, arguments[0], &earlier)) return internalError(env);
  if (!isUndefined(env, earlier)) {
    return codedError(env, "EBUSY", "attach: this memory is watched already; detach() the earlier handle first");
  }
  Watched* memory = nullptr;
  if (const Outcome outcome = belay::watch(mechanism, base, bytes, &memory); outcome.failed()) {
    char why[256];
    if (!belay::unavailable(mechanism, why, sizeof why)) return systemError(env, "attach", outcome);
    return codedError(env, codeOf(outcome.error), "attach: %s", why);
  }
  auto* record = new (std::nothrow) Record{memory};
  if (!record) {
    belay::abandon(memory);
    return codedError(env, "ENOMEM", "attach: out of memory");
  }
  napi_value external, handle;
  if (napi_create_external(env, record, nullptr, nullptr, &external) != napi_ok ||
      napi_new_instance(env, valueOf(env, own->constructor), 1, &external, &handle) != napi_ok) {
    belay::abandon(memory);
    record->memory = nullptr;  // the record itself may be wrapped already
    return internalError(env);
  }
  if (!tie(env, handle, arguments[0], record)) return internalError(env);
  return handle;
}

napi_value unavailable(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument;
  if (napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr) != napi_ok) return nullptr;
  Mechanism mechanism;
  if (!mechanismOf(env, argument, "unavailable", &mechanism)) return nullptr;
  char why[256];
  if (!belay::unavailable(mechanism, why, sizeof why)) return undefined(env);
  napi_value text = nullptr;
  napi_create_string_utf8(env, why, NAPI_AUTO_LENGTH, &text);
  return text;
}

bool keep(napi_env env, napi_value value, napi_ref* reference) {
  return napi_create_reference(env, value, 1, reference) == napi_ok;
}

bool prepare(napi_env env, Environment* own) {
  napi_value global, type, map, method, symbol, name;
  if (napi_get_global(env, &global) != napi_ok || napi_get_named_property(env, global, "WeakMap", &type) != napi_ok ||
      napi_new_instance(env, type, 0, nullptr, &map) != napi_ok || !keep(env, map, &own->watched)) {
    return false;
  }
  const struct {
    const char* name;
    napi_ref* to;
  } methods[] = {{"get", &own->get}, {"set", &own->set}, {"delete", &own->remove}};
  for (const auto& one : methods) {
    if (napi_get_named_property(env, map, one.name, &method) != napi_ok || !keep(env, method, one.to)) return false;
  }
  return napi_create_string_utf8(env, kBufferProperty, NAPI_AUTO_LENGTH, &name) == napi_ok &&
         napi_create_symbol(env, name, &symbol) == napi_ok && keep(env, symbol, &own->symbol);
}

void freeEnvironment(napi_env, void* data, void*) { delete static_cast<Environment*>(data); }

napi_property_descriptor method(const char* name, napi_callback call) {
  return {name, nullptr, call, nullptr, nullptr, nullptr, napi_default_method, nullptr};
}

}  // namespace

NAPI_MODULE_INIT() {
  auto* own = new (std::nothrow) Environment;
  if (!own || napi_set_instance_data(env, own, freeEnvironment, nullptr) != napi_ok) return internalError(env);
  if (!prepare(env, own)) return internalError(env);
  const napi_property_descriptor methods[] = {
      method("checkpoint", checkpoint), method("rollback", rollback), method("touch", touch),
      method("resized", resized),       method("faulted", faulted),   method("written", written),
      method("changed", changed),       method("stats", stats),       method("detach", detach),
  };
  napi_value constructor;
  if (napi_define_class(env, "WatchedMemory", NAPI_AUTO_LENGTH, construct, nullptr, sizeof methods / sizeof *methods,
                        methods, &constructor) != napi_ok ||
      !keep(env, constructor, &own->constructor)) {
    return internalError(env);
  }
  const napi_property_descriptor functions[] = {method("attach", attach), method("unavailable", unavailable)};
  if (napi_define_properties(env, exports, sizeof functions / sizeof *functions, functions) != napi_ok) {
    return internalError(env);
  }
  return exports;
}
