using Stig.Model.Imaging;

namespace Stig.Model.Tests.Imaging;

public sealed class RgbImageTests
{
    [Fact]
    public void Every_value_survives_the_way_to_intensities_and_back()
    {
        byte[] pixels = [.. Enumerable.Range(0, 768).Select(i => (byte)(i * 7))];
        var planes = new float[768];
        new RgbImage(16, 16, pixels).ToPlanar(planes);
        Assert.Equal(pixels[4] / 255f, planes[256 + 1]);
        Assert.Equal(pixels, RgbImage.FromPlanar(planes, 16, 16).Pixels);
    }

    [Fact]
    public void Intensities_are_held_to_their_range_and_rounded_half_up()
    {
        float[] planes = [-3f, 2f, 0.5f / 255f, float.PositiveInfinity, 0.49f / 255f, 1f];
        Assert.Equal([0, 1, 0, 255, 255, 255], RgbImage.FromPlanar(planes, 2, 1).Pixels);
        Assert.Throws<ArgumentException>(() => RgbImage.FromPlanar([0f, float.NaN, 0f], 1, 1));
    }

    [Fact]
    public void Window_beyond_the_border_is_filled_by_reflection()
    {
        // One row 0 1 2 3: its continuation by hand, ... 2 1 | 0 1 2 3 | 2 1 0 1 ...
        byte[] pixels = [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3];
        var planes = new float[3 * 3 * 12];
        new RgbImage(4, 1, pixels).ToPlanar(planes, -4, -1, 12, 3);
        float[] expected = [.. new[] { 2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1 }.Select(v => v / 255f)];
        for (int row = 0; row < 9; row++)
        {
            Assert.Equal(expected, planes[(12 * row)..(12 * row + 12)]);
        }
    }

    [Fact]
    public void Buffers_of_wrong_length_are_refused()
    {
        Assert.Throws<ArgumentException>(() => new RgbImage(2, 2, new byte[11]));
        Assert.Throws<ArgumentException>(() => new RgbImage(2, 2, new byte[12], new byte[3]));
        Assert.Throws<ArgumentException>(() => new RgbImage(2, 2, new byte[12]).ToPlanar(new float[11]));
    }
}
