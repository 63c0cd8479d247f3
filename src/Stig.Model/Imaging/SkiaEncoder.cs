using System.Buffers;
using SkiaSharp;

namespace Stig.Model.Imaging;

/// <summary>Encodes pixels by Skia. What it writes holds no metadata.</summary>
internal static class SkiaEncoder
{
    /// <summary>JPEG; never with chroma at half resolution, which would cut the very frequencies that refinement works on.</summary>
    public static byte[] Jpeg(RgbImage image, bool grey, EncodeOptions options) =>
        Encode(image, grey, pixels => pixels.Encode(
            new SKJpegEncoderOptions(options.Quality, SKJpegEncoderDownsample.Downsample444, SKJpegEncoderAlphaOption.Ignore)), "JPEG");

    /// <summary>WebP. Lossless, the quality is the effort.</summary>
    public static byte[] Webp(RgbImage image, EncodeOptions options) =>
        Encode(image, false, pixels => pixels.Encode(options.WebpLossless
            ? new SKWebpEncoderOptions(SKWebpEncoderCompression.Lossless, 100)
            : new SKWebpEncoderOptions(SKWebpEncoderCompression.Lossy, options.Quality)), "WebP");

    private static unsafe byte[] Encode(RgbImage image, bool grey, Func<SKPixmap, SKData?> encode, string format)
    {
        SKImageInfo info = grey
            ? new SKImageInfo(image.Width, image.Height, SKColorType.Gray8, SKAlphaType.Opaque)
            : new SKImageInfo(image.Width, image.Height, SKColorType.Rgba8888,
                              image.Alpha is null ? SKAlphaType.Opaque : SKAlphaType.Unpremul);
        byte[] samples = ArrayPool<byte>.Shared.Rent(info.BytesSize);
        try
        {
            if (grey)
            {
                for (int i = 0, pixel = 0; i < image.Pixels.Length; i += 3, pixel++)
                {
                    samples[pixel] = RgbImage.Grey(image.Pixels[i], image.Pixels[i + 1], image.Pixels[i + 2]);
                }
            }
            else
            {
                for (int i = 0, o = 0, pixel = 0; i < image.Pixels.Length; i += 3, o += 4, pixel++)
                {
                    samples[o] = image.Pixels[i];
                    samples[o + 1] = image.Pixels[i + 1];
                    samples[o + 2] = image.Pixels[i + 2];
                    samples[o + 3] = image.Alpha is null ? byte.MaxValue : image.Alpha[pixel];
                }
            }

            fixed (byte* start = samples)
            {
                using var pixels = new SKPixmap(info, (nint)start, info.RowBytes);
                using SKData? data = encode(pixels);
                return data?.ToArray() ?? throw new IOException(
                    $"An image of {image.Width} x {image.Height} pixels cannot be stored as {format}. Write PNG.");
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(samples);
        }
    }
}
