using Stig.Model.Graphs;

namespace Stig.SelfTest.Oracles;

/// <summary>Convolution and the fully connected layer.</summary>
internal static class ConvolutionOracles
{
    /// <summary>dst[n, o, y, x] = bias[o] + sum over i, ky, kx of src[n, i, y stride - padding + ky, ...] weights[o, i, ky, kx].</summary>
    public static Tensor Conv2d(Tensor src, Tensor weights, Tensor? bias, int stride, int padding)
    {
        int outputChannels = weights.N;
        int height = ((src.H + (2 * padding) - weights.H) / stride) + 1;
        int width = ((src.W + (2 * padding) - weights.W) / stride) + 1;
        var dst = new Tensor(new Shape(src.N, outputChannels, height, width));
        for (int n = 0; n < src.N; n++)
        {
            for (int o = 0; o < outputChannels; o++)
            {
                for (int y = 0; y < height; y++)
                {
                    for (int x = 0; x < width; x++)
                    {
                        dst[n, o, y, x] = (bias?[0, o] ?? 0) + Window(src, weights, n, o, (y * stride) - padding, (x * stride) - padding);
                    }
                }
            }
        }

        return dst;
    }

    /// <summary>dst[n, o] = bias[o] + sum over k of src[n, k] weights[o, k].</summary>
    public static Tensor Linear(Tensor src, Tensor weights, Tensor bias)
    {
        var dst = new Tensor(new Shape(src.N, weights.N));
        for (int n = 0; n < src.N; n++)
        {
            for (int o = 0; o < weights.N; o++)
            {
                double sum = bias[0, o];
                for (int k = 0; k < src.C; k++)
                {
                    sum += src[n, k] * weights[o, k];
                }

                dst[n, o] = sum;
            }
        }

        return dst;
    }

    private static double Window(Tensor src, Tensor weights, int n, int o, int top, int left)
    {
        double sum = 0;
        for (int i = 0; i < src.C; i++)
        {
            for (int ky = 0; ky < weights.H; ky++)
            {
                for (int kx = 0; kx < weights.W; kx++)
                {
                    int y = top + ky;
                    int x = left + kx;
                    if (y >= 0 && y < src.H && x >= 0 && x < src.W)
                    {
                        sum += src[n, i, y, x] * weights[o, i, ky, kx];
                    }
                }
            }
        }

        return sum;
    }
}
