// Convolution by oneDNN; every call into its convolutions is here. A stig_conv2d is one direction of one shape for a
// single image, with all primitives made at creation; the images of a batch are run one after the other.
#include <algorithm>
#include <dnnl.hpp>
#include <memory>
#include <unordered_map>
#include <utility>

#include "common.h"

namespace stig {
namespace {

using dnnl::memory;
using Descriptor = memory::desc;
using Tag = memory::format_tag;

const dnnl::engine& engine() {
  static const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}

Descriptor laid_out(const memory::dims& extents, Tag tag) { return Descriptor(extents, memory::data_type::f32, tag); }

dnnl::primitive_attr caller_scratch() {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

std::string shape(const stig_conv2d_desc& d) {
  return "convolution " + std::to_string(d.ic) + "x" + std::to_string(d.ih) + "x" + std::to_string(d.iw) + " -> " +
         std::to_string(d.oc) + "x" + std::to_string(d.oh) + "x" + std::to_string(d.ow) + ", kernel " +
         std::to_string(d.kh) + "x" + std::to_string(d.kw) + ", stride " + std::to_string(d.stride) + ", padding " +
         std::to_string(d.padding);
}

// One direction of a convolution as oneDNN would do it with these layouts (Tag::any: its own choice); empty if it
// cannot.
dnnl::primitive_desc implementation(const stig_conv2d_desc& d, int32_t direction, dnnl::algorithm algorithm,
                                    Tag src_tag, Tag dst_tag) {
  const Descriptor src = laid_out({1, d.ic, d.ih, d.iw}, src_tag);
  const Descriptor dst = laid_out({1, d.oc, d.oh, d.ow}, dst_tag);
  const Descriptor weights = laid_out({d.oc, d.ic, d.kh, d.kw}, Tag::any);
  const Descriptor bias = d.with_bias ? laid_out({d.oc}, Tag::x) : Descriptor();
  const memory::dims stride{d.stride, d.stride};
  const memory::dims padding{d.padding, d.padding};
  const dnnl::primitive_attr attributes = caller_scratch();

  // The training form of the forward pass takes plain-sized weights for Winograd too; the inference form would want
  // weights transformed beforehand, four times as large, for a gain of a few per cent.
  const dnnl::convolution_forward::desc forward(dnnl::prop_kind::forward_training, algorithm, src, weights, bias, dst,
                                                stride, padding, padding);
  const dnnl::convolution_forward::primitive_desc forward_pd(forward, attributes, engine(), true);
  if (direction == STIG_CONV2D_FORWARD || !forward_pd) return forward_pd;
  if (direction == STIG_CONV2D_BACKWARD_DATA) {
    const dnnl::convolution_backward_data::desc backward(algorithm, src, weights, dst, stride, padding, padding);
    return dnnl::convolution_backward_data::primitive_desc(backward, attributes, engine(), forward_pd, true);
  }
  const dnnl::convolution_backward_weights::desc backward(algorithm, src, weights, bias, dst, stride, padding, padding);
  return dnnl::convolution_backward_weights::primitive_desc(backward, attributes, engine(), forward_pd, true);
}

// Fast implementations are those generated for the shape; the rest are reference loops and im2col.
bool generated(const dnnl::primitive_desc& pd) { return pd && std::string(pd.impl_info_str()).rfind("jit", 0) == 0; }

// Winograd if wanted, else direct convolution in the caller's layouts, else in layouts of the library's choice.
dnnl::primitive_desc choose(const stig_conv2d_desc& d, int32_t direction) {
  const Tag src = d.src_block == 16 ? Tag::nChw16c : Tag::nchw;
  const Tag dst = d.dst_block == 16 ? Tag::nChw16c : Tag::nchw;
  if (d.winograd) {
    const auto pd = implementation(d, direction, dnnl::algorithm::convolution_winograd, src, dst);
    if (generated(pd)) return pd;
  }
  const auto as_given = implementation(d, direction, dnnl::algorithm::convolution_direct, src, dst);
  if (generated(as_given)) return as_given;
  const auto as_chosen = implementation(d, direction, dnnl::algorithm::convolution_direct, Tag::any, Tag::any);
  if (generated(as_chosen) || (as_chosen && !as_given)) return as_chosen;
  if (!as_given) throw Error(STIG_UNSUPPORTED, "oneDNN has no " + shape(d));
  return as_given;
}

// A tensor in the caller's and in the library's layout, and the way from one to the other where they differ.
struct Operand {
  Operand() = default;
  Operand(const Descriptor& of_caller, const Descriptor& of_library, bool to_library)
      : callers(of_caller), library(of_library) {
    if (callers == library) return;
    const Descriptor& from = to_library ? callers : library;
    const Descriptor& to = to_library ? library : callers;
    const dnnl::reorder::primitive_desc pd(engine(), from, engine(), to, caller_scratch());
    scratchpad = pd.scratchpad_desc();
    reorder = dnnl::reorder(pd);
  }
  bool differs() const { return static_cast<bool>(reorder); }

  Descriptor callers, library, scratchpad;
  dnnl::reorder reorder;
  size_t offset = 0;  // of the library's form in the scratch memory
};

void check_desc(const stig_conv2d_desc* d, int32_t direction) {
  require(d != nullptr, "desc is null");
  require(direction == STIG_CONV2D_FORWARD || direction == STIG_CONV2D_BACKWARD_DATA ||
              direction == STIG_CONV2D_BACKWARD_WEIGHTS,
          "unknown direction " + std::to_string(direction));
  require(
      d->ic > 0 && d->ih > 0 && d->iw > 0 && d->oc > 0 && d->kh > 0 && d->kw > 0 && d->stride > 0 && d->padding >= 0,
      shape(*d) + " has an extent out of range");
  require(d->oh == (d->ih + 2 * d->padding - d->kh) / d->stride + 1 &&
              d->ow == (d->iw + 2 * d->padding - d->kw) / d->stride + 1 && d->oh > 0 && d->ow > 0,
          shape(*d) + " has extents that do not fit together");
  require((d->src_block == 1 || (d->src_block == 16 && d->ic % 16 == 0)) &&
              (d->dst_block == 1 || (d->dst_block == 16 && d->oc % 16 == 0)),
          shape(*d) + ": blocks must be 1, or 16 with channels a multiple of 16");
}

}  // namespace
}  // namespace stig

using namespace stig;

struct stig_conv2d {
  stig_conv2d(const stig_conv2d_desc& shape_of, int32_t direction_of)
      : desc(shape_of), direction(direction_of), stream(engine()) {
    using dnnl::query;
    const auto pd = choose(desc, direction);
    const bool forward = direction == STIG_CONV2D_FORWARD;
    const bool backward_data = direction == STIG_CONV2D_BACKWARD_DATA;
    const auto map = [](int64_t c, int64_t h, int64_t w, int64_t block) {
      return laid_out({1, c, h, w}, block == 16 ? Tag::nChw16c : Tag::nchw);
    };
    src = Operand(map(desc.ic, desc.ih, desc.iw, desc.src_block),
                  pd.query_md(backward_data ? query::diff_src_md : query::src_md), !backward_data);
    dst = Operand(map(desc.oc, desc.oh, desc.ow, desc.dst_block),
                  pd.query_md(forward ? query::dst_md : query::diff_dst_md), !forward);
    const bool backward_weights = direction == STIG_CONV2D_BACKWARD_WEIGHTS;
    const auto plain = laid_out({desc.oc, desc.ic, desc.kh, desc.kw}, Tag::oihw);
    const auto packed = pd.query_md(backward_weights ? query::diff_weights_md : query::weights_md);
    weights = Operand(plain, packed, !backward_weights);
    bias = laid_out({desc.oc}, Tag::x);
    scratchpad = pd.scratchpad_desc();
    primitive = dnnl::primitive(pd.get());

    // Scratch memory: the library's own first, then what the library wants in another layout.
    reserve(std::max(
        {scratchpad.get_size(), src.scratchpad.get_size(), dst.scratchpad.get_size(), weights.scratchpad.get_size()}));
    if (src.differs()) src.offset = reserve(src.library.get_size());
    if (dst.differs()) dst.offset = reserve(dst.library.get_size());
    if (backward_weights) {
      weights.offset = reserve(packed.get_size());
      next_weights = reserve(packed.get_size());
      bias_sum = reserve(bias.get_size());
      next_bias = reserve(bias.get_size());
    }
  }

  // Takes bytes of scratch memory and returns their offset.
  size_t reserve(size_t bytes) {
    const size_t offset = scratch_bytes;
    scratch_bytes += (bytes + 63) / 64 * 64;
    return offset;
  }

  void check_call(int32_t wanted_direction, const stig_tensor* s, const char* s_name, const stig_tensor* d,
                  const char* d_name, const void* scratch) const {
    require(direction == wanted_direction, "the convolution was made for another direction");
    check_extents(s, s_name, s ? s->n : 0, desc.ic, desc.ih, desc.iw);
    check_extents(d, d_name, s->n, desc.oc, desc.oh, desc.ow);
    require(s->block == desc.src_block && d->block == desc.dst_block,
            std::string(s_name) + " " + stig::describe(*s) + " or " + d_name + " " + stig::describe(*d) +
                " is not in the layout the convolution was made for");
    check_scratch(scratch);
  }

  void check_scratch(const void* scratch) const {
    require(scratch_bytes == 0 || (scratch != nullptr && reinterpret_cast<uintptr_t>(scratch) % 64 == 0),
            "scratch must be memory at a multiple of 64 bytes");
  }

  static void* at(void* scratch, size_t offset) { return static_cast<char*>(scratch) + offset; }
  // oneDNN has no memory of constants; it writes only to what it is asked to compute.
  static memory wrap(const Descriptor& descriptor, const void* data) {
    return memory(descriptor, engine(), const_cast<void*>(data));
  }

  void reorder(const Operand& operand, const Descriptor& from, const void* src_data, const Descriptor& to,
               void* dst_data, void* scratch) {
    operand.reorder.execute(stream, {{DNNL_ARG_FROM, wrap(from, src_data)},
                                     {DNNL_ARG_TO, wrap(to, dst_data)},
                                     {DNNL_ARG_SCRATCHPAD, wrap(operand.scratchpad, scratch)}});
  }

  // An input in the library's layout, in place or through scratch memory.
  const void* imported(const Operand& operand, const void* data, void* scratch) {
    if (!operand.differs()) return data;
    reorder(operand, operand.callers, data, operand.library, at(scratch, operand.offset), scratch);
    return at(scratch, operand.offset);
  }

  // Where an output is to be computed, and what brings it to the caller afterwards.
  static void* target(const Operand& operand, void* data, void* scratch) {
    return operand.differs() ? at(scratch, operand.offset) : data;
  }
  void exported(const Operand& operand, void* data, void* scratch) {
    if (operand.differs())
      reorder(operand, operand.library, at(scratch, operand.offset), operand.callers, data, scratch);
  }

  void execute(std::unordered_map<int, memory>&& arguments, void* scratch) {
    arguments.emplace(DNNL_ARG_SCRATCHPAD, wrap(scratchpad, scratch));
    primitive.execute(stream, arguments);
    stream.wait();
  }

  stig_conv2d_desc desc;
  int32_t direction;
  dnnl::stream stream;
  dnnl::primitive primitive;
  Operand src, dst, weights;
  Descriptor bias, scratchpad;
  size_t next_weights = 0, bias_sum = 0, next_bias = 0;  // offsets into scratch memory
  size_t scratch_bytes = 0;
};

stig_status stig_conv2d_create(const stig_conv2d_desc* desc, int32_t direction, stig_conv2d** out) {
  STIG_GUARDED({
    require(out != nullptr, "out is null");
    *out = nullptr;
    check_desc(desc, direction);
    *out = std::make_unique<stig_conv2d>(*desc, direction).release();
  });
}

void stig_conv2d_destroy(stig_conv2d* conv) { delete conv; }

stig_status stig_conv2d_sizes(const stig_conv2d* conv, int64_t* packed_bytes, int64_t* scratch_bytes) {
  STIG_GUARDED({
    require(conv != nullptr && packed_bytes != nullptr && scratch_bytes != nullptr, "an argument is null");
    const bool takes_weights = conv->direction != STIG_CONV2D_BACKWARD_WEIGHTS;
    *packed_bytes = takes_weights ? static_cast<int64_t>(conv->weights.library.get_size()) : 0;
    *scratch_bytes = static_cast<int64_t>(conv->scratch_bytes);
  });
}

stig_status stig_conv2d_pack_weights(stig_conv2d* conv, const float* weights, void* packed, void* scratch) {
  STIG_GUARDED({
    require(conv != nullptr && weights != nullptr && packed != nullptr, "an argument is null");
    require(conv->direction != STIG_CONV2D_BACKWARD_WEIGHTS, "a convolution for gradients of weights takes no weights");
    conv->check_scratch(scratch);
    const Operand& operand = conv->weights;
    if (operand.differs()) {
      conv->reorder(operand, operand.callers, weights, operand.library, packed, scratch);
    } else {
      std::copy(weights, weights + operand.library.get_size() / sizeof(float), static_cast<float*>(packed));
    }
  });
}

stig_status stig_conv2d_forward(stig_conv2d* conv, const stig_tensor* src, const void* packed, const float* bias,
                                const stig_tensor* dst, void* scratch) {
  STIG_GUARDED({
    require(conv != nullptr && packed != nullptr, "an argument is null");
    conv->check_call(STIG_CONV2D_FORWARD, src, "src", dst, "dst", scratch);
    require((bias != nullptr) == (conv->desc.with_bias != 0), "bias must be given exactly if the convolution has one");
    for (int64_t i = 0; i < src->n; ++i) {
      const void* x = conv->imported(conv->src, image(*src, i), scratch);
      void* y = conv->target(conv->dst, image(*dst, i), scratch);
      std::unordered_map<int, memory> arguments{{DNNL_ARG_SRC, conv->wrap(conv->src.library, x)},
                                                {DNNL_ARG_WEIGHTS, conv->wrap(conv->weights.library, packed)},
                                                {DNNL_ARG_DST, conv->wrap(conv->dst.library, y)}};
      if (bias) arguments.emplace(DNNL_ARG_BIAS, conv->wrap(conv->bias, bias));
      conv->execute(std::move(arguments), scratch);
      conv->exported(conv->dst, image(*dst, i), scratch);
    }
  });
}

stig_status stig_conv2d_backward_data(stig_conv2d* conv, const stig_tensor* diff_dst, const void* packed,
                                      const stig_tensor* diff_src, void* scratch) {
  STIG_GUARDED({
    require(conv != nullptr && packed != nullptr, "an argument is null");
    conv->check_call(STIG_CONV2D_BACKWARD_DATA, diff_src, "diff_src", diff_dst, "diff_dst", scratch);
    for (int64_t i = 0; i < diff_dst->n; ++i) {
      const void* dy = conv->imported(conv->dst, image(*diff_dst, i), scratch);
      void* dx = conv->target(conv->src, image(*diff_src, i), scratch);
      conv->execute({{DNNL_ARG_DIFF_DST, conv->wrap(conv->dst.library, dy)},
                     {DNNL_ARG_WEIGHTS, conv->wrap(conv->weights.library, packed)},
                     {DNNL_ARG_DIFF_SRC, conv->wrap(conv->src.library, dx)}},
                    scratch);
      conv->exported(conv->src, image(*diff_src, i), scratch);
    }
  });
}

stig_status stig_conv2d_backward_weights(stig_conv2d* conv, const stig_tensor* src, const stig_tensor* diff_dst,
                                         float* diff_weights, float* diff_bias, void* scratch) {
  STIG_GUARDED({
    require(conv != nullptr && diff_weights != nullptr, "an argument is null");
    conv->check_call(STIG_CONV2D_BACKWARD_WEIGHTS, src, "src", diff_dst, "diff_dst", scratch);
    require(diff_bias == nullptr || conv->desc.with_bias, "diff_bias is given, but the convolution has no bias");
    // The first image's gradient starts the sum, in the library's layout; the others are added in their order.
    float* sum = static_cast<float*>(conv->at(scratch, conv->weights.offset));
    float* bias_sum = diff_bias ? diff_bias : static_cast<float*>(conv->at(scratch, conv->bias_sum));
    float* next = static_cast<float*>(conv->at(scratch, conv->next_weights));
    float* next_bias = static_cast<float*>(conv->at(scratch, conv->next_bias));
    for (int64_t i = 0; i < src->n; ++i) {
      const void* x = conv->imported(conv->src, image(*src, i), scratch);
      const void* dy = conv->imported(conv->dst, image(*diff_dst, i), scratch);
      std::unordered_map<int, memory> arguments{
          {DNNL_ARG_SRC, conv->wrap(conv->src.library, x)},
          {DNNL_ARG_DIFF_DST, conv->wrap(conv->dst.library, dy)},
          {DNNL_ARG_DIFF_WEIGHTS, conv->wrap(conv->weights.library, i == 0 ? sum : next)}};
      if (conv->desc.with_bias) {
        arguments.emplace(DNNL_ARG_DIFF_BIAS, conv->wrap(conv->bias, i == 0 ? bias_sum : next_bias));
      }
      conv->execute(std::move(arguments), scratch);
      if (i == 0) continue;
      const int64_t count = static_cast<int64_t>(conv->weights.library.get_size() / sizeof(float));
      parallel_chunks(count, [&](int64_t begin, int64_t end) {
        for (int64_t k = begin; k < end; ++k) sum[k] += next[k];
      });
      for (int64_t k = 0; diff_bias && k < conv->desc.oc; ++k) diff_bias[k] += next_bias[k];
    }
    if (conv->weights.differs()) {
      conv->exported(conv->weights, diff_weights, scratch);
    } else {
      std::copy(sum, sum + conv->weights.library.get_size() / sizeof(float), diff_weights);
    }
  });
}
