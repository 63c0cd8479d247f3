using Stig.Model.Evaluation;

namespace Stig.Model.Tests.Evaluation;

/// <summary>PSNR and SSIM against closed forms and the definition.</summary>
public sealed class ImageQualityTests
{
    [Fact]
    public void Psnr_of_known_differences()
    {
        Assert.Equal(20, Psnr.Between([0.5f, 0.25f], [0.6f, 0.15f]), 1e-5);
        Assert.Equal(0, Psnr.Between([0f], [1f]), 1e-12);
        Assert.Equal(double.PositiveInfinity, Psnr.Between([0.5f], [0.5f]));
        Assert.Throws<ArgumentException>(() => Psnr.Between([0.5f], [0.5f, 1f]));
    }

    [Fact]
    public void Ssim_matches_the_definition_with_a_full_window()
    {
        // Oracle: the 35 x 35 window as a double loop for every pixel. Tolerance: the result is a float.
        var extents = new ImageExtents(9, 12, 2);
        float[] a = RandomValues.Floats(extents.Count, 13);
        float[] b = [.. RandomValues.Floats(extents.Count, 14).Zip(a, (noise, value) => (0.3f * noise) + (0.7f * value))];
        using var ssim = new Ssim(extents);
        Assert.Equal(Definition(a, b, extents), ssim.Between(a, b), 1e-6);
        Assert.Equal(1, ssim.Between(a, a), 1e-6);
    }

    private static double Definition(float[] a, float[] b, ImageExtents extents)
    {
        double[] window = [.. Enumerable.Range(-17, 35).Select(t => Math.Exp(-t * t / (2 * 1.5 * 1.5)))];
        double mass = window.Sum();
        double sum = 0;
        for (int i = 0; i < extents.Count; i++)
        {
            (int plane, int y, int x) = (i / extents.Area * extents.Area, i / extents.Width % extents.Height, i % extents.Width);
            (double ma, double mb, double aa, double bb, double ab) = (0, 0, 0, 0, 0);
            for (int row = 0; row < extents.Height; row++)
            {
                for (int column = 0; column < extents.Width; column++)
                {
                    double weight = window[row - y + 17] * window[column - x + 17] / (mass * mass);
                    (double p, double q) = (a[plane + (row * extents.Width) + column], b[plane + (row * extents.Width) + column]);
                    (ma, mb, aa, bb, ab) = (ma + (weight * p), mb + (weight * q), aa + (weight * p * p), bb + (weight * q * q),
                        ab + (weight * p * q));
                }
            }

            sum += ((2 * ma * mb) + 1e-4) * ((2 * (ab - (ma * mb))) + 9e-4)
                / (((ma * ma) + (mb * mb) + 1e-4) * (aa - (ma * ma) + bb - (mb * mb) + 9e-4));
        }

        return sum / extents.Count;
    }
}
