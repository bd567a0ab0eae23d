// Stub of ESP-DL v1: what convolutions and FullyConnected share: the order of a filter's elements on the chip, and the way
// from a sum to an output.
#pragma once

#include "dl_layer_base.hpp"

namespace dl
{
namespace stub
{
#ifdef CONFIG_IDF_TARGET_ESP32S3
template <typename T> int block() { return 16 / sizeof(T); }
#else
template <typename T> int block() { return 1 << 30; }
#endif

// The element of output o, input i at h, w of a filter of O outputs and I inputs; full blocks of outputs come first.
template <typename T> T dense(const Filter<T> &f, int o, int i, int h, int w)
{
    int H = f.shape[0], W = f.shape[1], I = f.shape[2], O = f.shape[3], B = block<T>(), in_blocks = O / B * B;
    if (o < in_blocks) return f.element[(((o / B * H + h) * W + w) * I + i) * B + o % B];
    return f.element[((o * H + h) * W + w) * I + i];
}

template <typename T> T depthwise(const Filter<T> &f, int c, int h, int w)
{
    int H = f.shape[0], W = f.shape[1], C = f.shape[2], B = block<T>(), in_blocks = C / B * B;
    if (c < in_blocks) return f.element[((c / B * H + h) * W + w) * B + c % B];
    int rest = C - in_blocks;
    return f.element[in_blocks * H * W + (h * W + w) * rest + c - in_blocks];
}

template <typename T, typename B>
T finish(int64_t sum, int channel, int e_in, int e_out, const Filter<T> &f, const Bias<B> *bias, const Activation<T> *a)
{
    sum = clip(sum, sizeof(T) == 1 ? 20 : 40);
    if (f.channel_exponent == NULL)
    {
        int64_t y = scale(sum, e_in + f.exponent - e_out) + (bias ? bias->element[channel] : 0);
        return activate<T>((T)clip(y, bits<T>()), a, channel);
    }
    int64_t t = scale(sum, -4);
    if (bias) t = clip(t + bias->element[channel], 16);
    int k = e_in + f.channel_exponent[channel] + 4 - e_out;
    return activate<T>((T)clip(k < -12 ? 0 : scale(t, k), bits<T>()), a, channel);
}
} // namespace stub
} // namespace dl
