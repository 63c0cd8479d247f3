using Stig.Model.Graphs;

namespace Stig.SelfTest.Oracles;

/// <summary>Pooling and up-sampling.</summary>
internal static class ResampleOracles
{
    public static Tensor MaxPool(Tensor src)
    {
        var dst = new Tensor(new Shape(src.N, src.C, src.H / 2, src.W / 2));
        for (int n = 0; n < dst.N; n++)
        {
            for (int c = 0; c < dst.C; c++)
            {
                for (int y = 0; y < dst.H; y++)
                {
                    for (int x = 0; x < dst.W; x++)
                    {
                        dst[n, c, y, x] = Math.Max(
                            Math.Max(src[n, c, 2 * y, 2 * x], src[n, c, 2 * y, (2 * x) + 1]),
                            Math.Max(src[n, c, (2 * y) + 1, 2 * x], src[n, c, (2 * y) + 1, (2 * x) + 1]));
                    }
                }
            }
        }

        return dst;
    }

    public static Tensor AveragePool(Tensor src)
    {
        var dst = new Tensor(new Shape(src.N, src.C, src.H / 2, src.W / 2));
        for (int n = 0; n < dst.N; n++)
        {
            for (int c = 0; c < dst.C; c++)
            {
                for (int y = 0; y < dst.H; y++)
                {
                    for (int x = 0; x < dst.W; x++)
                    {
                        dst[n, c, y, x] = (src[n, c, 2 * y, 2 * x] + src[n, c, 2 * y, (2 * x) + 1]
                            + src[n, c, (2 * y) + 1, 2 * x] + src[n, c, (2 * y) + 1, (2 * x) + 1]) / 4;
                    }
                }
            }
        }

        return dst;
    }

    /// <summary>The gradient of a window goes to its first largest element in row-major order.</summary>
    public static Tensor MaxPoolBackward(Tensor src, Tensor gradient)
    {
        var result = new Tensor(src.Shape);
        for (int n = 0; n < gradient.N; n++)
        {
            for (int c = 0; c < gradient.C; c++)
            {
                for (int y = 0; y < gradient.H; y++)
                {
                    for (int x = 0; x < gradient.W; x++)
                    {
                        int row = 2 * y;
                        int column = 2 * x;
                        for (int element = 1; element < 4; element++)
                        {
                            if (src[n, c, (2 * y) + (element / 2), (2 * x) + (element % 2)] > src[n, c, row, column])
                            {
                                row = (2 * y) + (element / 2);
                                column = (2 * x) + (element % 2);
                            }
                        }

                        result[n, c, row, column] = gradient[n, c, y, x];
                    }
                }
            }
        }

        return result;
    }

    /// <summary>Cubic convolution (Keys 1981) with a = -0.75 at (i + 1/2) / 2 - 1/2, indices clamped to the image.</summary>
    public static Tensor BicubicUp2(Tensor src)
    {
        var dst = new Tensor(new Shape(src.N, src.C, 2 * src.H, 2 * src.W));
        for (int n = 0; n < dst.N; n++)
        {
            for (int c = 0; c < dst.C; c++)
            {
                for (int y = 0; y < dst.H; y++)
                {
                    for (int x = 0; x < dst.W; x++)
                    {
                        dst[n, c, y, x] = Interpolate(src, n, c, ((y + 0.5) / 2) - 0.5, ((x + 0.5) / 2) - 0.5);
                    }
                }
            }
        }

        return dst;
    }

    private static double Interpolate(Tensor src, int n, int c, double y, double x)
    {
        int top = (int)Math.Floor(y);
        int left = (int)Math.Floor(x);
        double sum = 0;
        for (int row = top - 1; row <= top + 2; row++)
        {
            for (int column = left - 1; column <= left + 2; column++)
            {
                sum += Cubic(y - row) * Cubic(x - column) * src[n, c, Math.Clamp(row, 0, src.H - 1), Math.Clamp(column, 0, src.W - 1)];
            }
        }

        return sum;
    }

    private static double Cubic(double distance)
    {
        const double a = -0.75;
        double t = Math.Abs(distance);
        return t <= 1
            ? ((a + 2) * t * t * t) - ((a + 3) * t * t) + 1
            : t < 2 ? (a * t * t * t) - (5 * a * t * t) + (8 * a * t) - (4 * a) : 0;
    }
}
