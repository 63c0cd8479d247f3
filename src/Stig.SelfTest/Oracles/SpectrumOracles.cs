using System.Numerics;
using Stig.Model.Graphs;
using Stig.Model.Operations;

namespace Stig.SelfTest.Oracles;

/// <summary>Spectra by the definition of the discrete Fourier transform, one axis after the other, and profiles over their rings.</summary>
internal static class SpectrumOracles
{
    /// <summary>Log magnitude and phasor of shift(DFT(shift(src))).</summary>
    public static Tensor[] LogSpectrum(Tensor src)
    {
        var magnitude = new Tensor(src.Shape);
        var phasor = new Tensor(src.Shape, ElementType.Complex64);
        for (int n = 0; n < src.N; n++)
        {
            for (int c = 0; c < src.C; c++)
            {
                var plane = new Complex[src.H, src.W];
                for (int y = 0; y < src.H; y++)
                {
                    for (int x = 0; x < src.W; x++)
                    {
                        plane[y, x] = src[n, c, y, x];
                    }
                }

                Complex[,] spectrum = Shift(Transform(Shift(plane, 1), -1), 1);
                for (int y = 0; y < src.H; y++)
                {
                    for (int x = 0; x < src.W; x++)
                    {
                        double modulus = spectrum[y, x].Magnitude;
                        magnitude[n, c, y, x] = Math.Log(1 + modulus);
                        phasor.SetComplex(n, c, y, x, modulus == 0 ? Complex.One : spectrum[y, x] / modulus);
                    }
                }
            }
        }

        return [magnitude, phasor];
    }

    /// <summary>Image and complex field of shift'(DFT^-1(shift^-1((exp(magnitude) - 1) phasor))).</summary>
    public static Tensor[] InverseSpectrum(Tensor magnitude, Tensor phasor, ImageComponent component, FinalShift finalShift)
    {
        var image = new Tensor(magnitude.Shape);
        var field = new Tensor(magnitude.Shape, ElementType.Complex64);
        for (int n = 0; n < image.N; n++)
        {
            for (int c = 0; c < image.C; c++)
            {
                var plane = new Complex[image.H, image.W];
                for (int y = 0; y < image.H; y++)
                {
                    for (int x = 0; x < image.W; x++)
                    {
                        plane[y, x] = (Math.Exp(magnitude[n, c, y, x]) - 1) * phasor.ComplexAt(n, c, y, x);
                    }
                }

                Complex[,] result = Shift(Transform(Shift(plane, -1), 1), finalShift == FinalShift.Shift ? 1 : -1);
                for (int y = 0; y < image.H; y++)
                {
                    for (int x = 0; x < image.W; x++)
                    {
                        Complex z = result[y, x] / (image.H * image.W);
                        image[n, c, y, x] = component == ImageComponent.Modulus ? z.Magnitude : z.Real;
                        field.SetComplex(n, c, y, x, z);
                    }
                }
            }
        }

        return [image, field];
    }

    /// <summary>Mean over each ring around (H / 2, W / 2) of the weighted sum of channels.</summary>
    public static Tensor RingProfile(Tensor src, RingKind kind, float[] weights)
    {
        int Ring(int y, int x)
        {
            int dy = y - (src.H / 2);
            int dx = x - (src.W / 2);
            return kind == RingKind.Rect ? Math.Max(Math.Abs(dy), Math.Abs(dx)) : (int)Math.Floor(Math.Sqrt((dy * dy) + (dx * dx)));
        }

        int rings = 0;
        for (int y = 0; y < src.H; y++)
        {
            for (int x = 0; x < src.W; x++)
            {
                rings = Math.Max(rings, Ring(y, x) + 1);
            }
        }

        var profile = new Tensor(new Shape(src.N, rings));
        for (int n = 0; n < src.N; n++)
        {
            double[] count = new double[rings];
            for (int y = 0; y < src.H; y++)
            {
                for (int x = 0; x < src.W; x++)
                {
                    int ring = Ring(y, x);
                    count[ring]++;
                    for (int c = 0; c < src.C; c++)
                    {
                        profile[n, ring] += weights[c] * src[n, c, y, x];
                    }
                }
            }

            for (int ring = 0; ring < rings; ring++)
            {
                profile[n, ring] /= Math.Max(1, count[ring]);
            }
        }

        return profile;
    }

    // Element (y, x) moves by floor(H / 2), floor(W / 2), or back.
    private static Complex[,] Shift(Complex[,] plane, int direction)
    {
        int height = plane.GetLength(0);
        int width = plane.GetLength(1);
        var result = new Complex[height, width];
        for (int y = 0; y < height; y++)
        {
            for (int x = 0; x < width; x++)
            {
                result[(y + height + (direction * (height / 2))) % height, (x + width + (direction * (width / 2))) % width] = plane[y, x];
            }
        }

        return result;
    }

    // sum over (y, x) of plane[y, x] exp(sign 2 pi i (v y / H + u x / W)): rows, then columns.
    private static Complex[,] Transform(Complex[,] plane, int sign)
    {
        int height = plane.GetLength(0);
        int width = plane.GetLength(1);
        var rows = new Complex[height, width];
        for (int u = 0; u < width; u++)
        {
            for (int x = 0; x < width; x++)
            {
                Complex root = Complex.FromPolarCoordinates(1, sign * 2 * Math.PI * (u * x % width) / width);
                for (int y = 0; y < height; y++)
                {
                    rows[y, u] += plane[y, x] * root;
                }
            }
        }

        var result = new Complex[height, width];
        for (int v = 0; v < height; v++)
        {
            for (int y = 0; y < height; y++)
            {
                Complex root = Complex.FromPolarCoordinates(1, sign * 2 * Math.PI * (v * y % height) / height);
                for (int u = 0; u < width; u++)
                {
                    result[v, u] += rows[y, u] * root;
                }
            }
        }

        return result;
    }
}
