using Stig.Model.Graphs;

namespace Stig.SelfTest.Oracles;

/// <summary>Affine maps, sums, products, activations, rolls.</summary>
internal static class ElementwiseOracles
{
    /// <summary>Combines a with b, whose single image serves every image of a.</summary>
    public static Tensor Combine(Tensor a, Tensor b, Func<double, double, double> function)
    {
        var result = new Tensor(a.Shape);
        for (int n = 0; n < a.N; n++)
        {
            for (int c = 0; c < a.C; c++)
            {
                for (int y = 0; y < a.H; y++)
                {
                    for (int x = 0; x < a.W; x++)
                    {
                        result[n, c, y, x] = function(a[n, c, y, x], b[b.N == 1 ? 0 : n, c, y, x]);
                    }
                }
            }
        }

        return result;
    }

    public static Tensor SumBatch(Tensor a, Shape shape)
    {
        var result = new Tensor(shape);
        for (int n = 0; n < a.N; n++)
        {
            for (int c = 0; c < a.C; c++)
            {
                for (int y = 0; y < a.H; y++)
                {
                    for (int x = 0; x < a.W; x++)
                    {
                        result[0, c, y, x] += a[n, c, y, x];
                    }
                }
            }
        }

        return result;
    }

    /// <summary>Image n and channel c move to n + images and c + channels, round the end.</summary>
    public static Tensor Roll(Tensor a, int images, int channels)
    {
        var result = new Tensor(a.Shape);
        for (int n = 0; n < a.N; n++)
        {
            for (int c = 0; c < a.C; c++)
            {
                for (int y = 0; y < a.H; y++)
                {
                    for (int x = 0; x < a.W; x++)
                    {
                        result[Wrap(n + images, a.N), Wrap(c + channels, a.C), y, x] = a[n, c, y, x];
                    }
                }
            }
        }

        return result;
    }

    public static double LeakyRelu(double x, double slope) => x > 0 ? x : slope * x;

    public static double Sigmoid(double x) => 1 / (1 + Math.Exp(-x));

    public static double SymmetricSigmoid(double x) => (2 / (1 + Math.Exp(-x))) - 1;

    public static double EightBit(double x) => Math.Floor((255 * UnitClamp(x)) + 0.5) / 255;

    /// <summary>Every image multiplied by its factor.</summary>
    public static Tensor ScaleImages(Tensor src, Tensor factors)
    {
        int index = 0;
        int image = src.C * src.H * src.W;
        return src.Map(value => value * factors[index++ / image, 0, 0, 0]);
    }

    public static double UnitClamp(double x) => x < 0 ? 0 : x > 1 ? 1 : x;

    private static int Wrap(int index, int extent) => ((index % extent) + extent) % extent;
}
