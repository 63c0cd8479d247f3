using Stig.Model.Graphs;
using Stig.Model.Operations;

namespace Stig.SelfTest.Oracles;

/// <summary>Interleaved bytes to planar values and back.</summary>
internal static class PixelOracles
{
    public static Tensor Unpack(Tensor bytes)
    {
        var image = new Tensor(bytes.Shape);
        Walk(bytes.Shape, (n, c, y, x, interleaved) => image[n, c, y, x] = bytes.Values[interleaved] / 255);
        return image;
    }

    public static Tensor Pack(Tensor image, PixelRounding rounding)
    {
        var bytes = new Tensor(image.Shape, ElementType.UInt8);
        Walk(image.Shape, (n, c, y, x, interleaved) =>
        {
            double scaled = 255 * Math.Clamp(image[n, c, y, x], 0, 1);
            bytes.Values[interleaved] = Math.Floor(rounding == PixelRounding.Nearest ? scaled + 0.5 : scaled);
        });
        return bytes;
    }

    // Every element with its place among pixels stored [N, H, W, C].
    private static void Walk(Shape shape, Action<int, int, int, int, int> visit)
    {
        int interleaved = 0;
        for (int n = 0; n < shape.N; n++)
        {
            for (int y = 0; y < shape.H; y++)
            {
                for (int x = 0; x < shape.W; x++)
                {
                    for (int c = 0; c < shape.C; c++)
                    {
                        visit(n, c, y, x, interleaved++);
                    }
                }
            }
        }
    }
}
