using System.Buffers;
using SkiaSharp;

namespace Stig.Model.Imaging;

/// <summary>Reads PNG, JPEG, WebP and BMP and writes PNG, JPEG and WebP.</summary>
/// <remarks>What a decoded image holds:
/// <list type="bullet">
/// <item>The content decides on the format, not the file's extension.</item>
/// <item>Grey becomes three equal channels; palettes are expanded.</item>
/// <item>Opacity is kept apart in <see cref="RgbImage.Alpha"/>; colours are never multiplied by it.</item>
/// <item>16 bits a channel (PNG) become 8 by rounding v / 257 to the nearest integer.</item>
/// <item>EXIF orientation is applied, once: the image comes out upright, and files written here carry no orientation.</item>
/// <item>Values are those stored in the file. No profile, gamma or other colour-space transformation is applied.</item>
/// <item>Of an animation, the first frame.</item>
/// </list></remarks>
public static class ImageCodec
{
    /// <summary>The largest pixel count that is decoded: 2^28.</summary>
    public const long MaxPixels = 1L << 28;

    /// <summary>The version of the native library behind the codecs, Skia; loads it.</summary>
    /// <exception cref="TypeInitializationException">It cannot be loaded; the inner exception says why.</exception>
    /// <exception cref="DllNotFoundException">It cannot be loaded.</exception>
    public static string LibraryVersion => SkiaSharpVersion.Native.ToString();

    // 4:4:4 and high quality: chroma subsampling would cut the very frequencies that refinement works on.
    private static readonly SKJpegEncoderOptions JpegOptions =
        new(95, SKJpegEncoderDownsample.Downsample444, SKJpegEncoderAlphaOption.Ignore);

    // One filter and the fastest compression: a third of the default's time, files a little larger.
    private static readonly SKPngEncoderOptions PngOptions = new(SKPngEncoderFilterFlags.Sub, 1);

    private static readonly SKWebpEncoderOptions WebpOptions = new(SKWebpEncoderCompression.Lossless, 100);

    /// <summary>Reads an image file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="maxPixels">Files that declare more pixels are refused before memory is taken,
    /// 1..<see cref="MaxPixels"/>.</param>
    /// <exception cref="ImageFormatException">The file cannot be read or <see cref="Decode"/> refuses its content.</exception>
    public static RgbImage Load(string path, long maxPixels = MaxPixels)
    {
        byte[] encoded;
        try
        {
            encoded = File.ReadAllBytes(path);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new ImageFormatException($"{path}: cannot be read: {error.Message.TrimEnd('.')}. Check its name and permissions.", error);
        }

        return Decode(encoded, path, maxPixels);
    }

    /// <summary>Decodes an image held in memory.</summary>
    /// <param name="encoded">The whole content of a PNG, JPEG, WebP or BMP file.</param>
    /// <param name="name">What to call the image in messages, usually its path.</param>
    /// <param name="maxPixels">Content that declares more pixels is refused before memory is taken,
    /// 1..<see cref="MaxPixels"/>.</param>
    /// <exception cref="ImageFormatException">The content is empty, of another format, damaged, cut short or too
    /// large.</exception>
    public static unsafe RgbImage Decode(ReadOnlySpan<byte> encoded, string name, long maxPixels = MaxPixels)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(maxPixels, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(maxPixels, MaxPixels);
        if (encoded.IsEmpty)
        {
            throw new ImageFormatException($"{name}: is empty (0 bytes). Copy or generate it again, or remove it.");
        }

        fixed (byte* start = encoded)
        {
            using SKData data = SKData.Create((nint)start, encoded.Length);
            using SKCodec? codec = SKCodec.Create(data);
            if (codec is null)
            {
                throw new ImageFormatException($"{name}: is not a PNG, JPEG, WebP or BMP image, or breaks off within its header. " +
                                               "Replace it by an image of one of these formats, or remove it.");
            }

            SKEncodedImageFormat format = codec.EncodedFormat;
            if (format is not (SKEncodedImageFormat.Png or SKEncodedImageFormat.Jpeg or SKEncodedImageFormat.Webp
                               or SKEncodedImageFormat.Bmp))
            {
                throw new ImageFormatException($"{name}: holds a {FormatName(format)} image. Convert it to PNG, JPEG, WebP or BMP.");
            }

            (int width, int height) = (codec.Info.Width, codec.Info.Height);
            if ((long)width * height > maxPixels)
            {
                throw new ImageFormatException($"{name}: declares {width} x {height} pixels, more than the {maxPixels} that are read. " +
                                               "Scale it down or cut it into parts.");
            }

            return Read(codec, encoded, name, width, height);
        }
    }

    /// <summary>Writes an image; the extension (.png, .jpg, .jpeg or .webp, in any case) decides on the format.</summary>
    /// <remarks>PNG and WebP are lossless and keep the opacity (under fully transparent pixels WebP does not keep colours);
    /// JPEG has quality 95 without chroma subsampling and drops the opacity. The file appears whole or not at all; its folder
    /// is made if need be.</remarks>
    /// <param name="path">The file.</param>
    /// <param name="image">The image.</param>
    /// <param name="texts">Keywords and texts to store in the file, as <see cref="PngText"/> takes them; only PNG files hold them.</param>
    /// <exception cref="ArgumentException">The extension is none of those, or a text cannot be stored.</exception>
    /// <exception cref="IOException">The file cannot be written, or its format cannot hold an image of that size.</exception>
    public static void Save(string path, RgbImage image, IReadOnlyList<KeyValuePair<string, string>>? texts = null)
    {
        ArgumentNullException.ThrowIfNull(path);
        ArgumentNullException.ThrowIfNull(image);
        AtomicFile.Write(path, Encode(path, image, texts));
    }

    /// <summary>The bytes that <see cref="Save"/> writes.</summary>
    internal static byte[] Encode(string path, RgbImage image, IReadOnlyList<KeyValuePair<string, string>>? texts)
    {
        byte[] encoded = Encode(path, image);
        bool stored = texts is { Count: > 0 } && Path.GetExtension(path).Equals(".png", StringComparison.OrdinalIgnoreCase);
        return stored ? PngText.Add(encoded, texts!) : encoded;
    }

    private static unsafe byte[] Encode(string path, RgbImage image)
    {
        string extension = Path.GetExtension(path);
        var info = new SKImageInfo(image.Width, image.Height, SKColorType.Rgba8888,
                                   image.Alpha is null ? SKAlphaType.Opaque : SKAlphaType.Unpremul);
        byte[] interleaved = ArrayPool<byte>.Shared.Rent(info.BytesSize);
        try
        {
            for (int i = 0, o = 0, pixel = 0; i < image.Pixels.Length; i += 3, o += 4, pixel++)
            {
                interleaved[o] = image.Pixels[i];
                interleaved[o + 1] = image.Pixels[i + 1];
                interleaved[o + 2] = image.Pixels[i + 2];
                interleaved[o + 3] = image.Alpha is null ? byte.MaxValue : image.Alpha[pixel];
            }

            fixed (byte* start = interleaved)
            {
                using var pixels = new SKPixmap(info, (nint)start, info.RowBytes);
                using SKData? data = extension.ToUpperInvariant() switch
                {
                    ".PNG" => pixels.Encode(PngOptions),
                    ".JPG" or ".JPEG" => pixels.Encode(JpegOptions),
                    ".WEBP" => pixels.Encode(WebpOptions),
                    _ => throw new ArgumentException($"{path}: images are written as .png, .jpg or .webp, not as '{extension}'.",
                                                     nameof(path)),
                };
                return data is not null
                    ? data.ToArray()
                    : throw new IOException($"{path}: an image of {image.Width} x {image.Height} pixels cannot be stored in this " +
                                            "format. Write .png.");
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(interleaved);
        }
    }

    private static unsafe RgbImage Read(SKCodec codec, ReadOnlySpan<byte> encoded, string name, int width, int height)
    {
        // Without a target colour space Skia leaves the values alone.
        var info = new SKImageInfo(width, height, SKColorType.Rgba8888, SKAlphaType.Unpremul, null);
        byte[] interleaved = ArrayPool<byte>.Shared.Rent(info.BytesSize);
        try
        {
            SKCodecResult result;
            fixed (byte* start = interleaved)
            {
                result = codec.GetPixels(info, (nint)start, info.RowBytes, SKCodecOptions.Default);
            }

            if (result == SKCodecResult.IncompleteInput
                || (result == SKCodecResult.Success && !EncodedImage.IsComplete(encoded, codec.EncodedFormat)))
            {
                throw new ImageFormatException($"{name}: the {FormatName(codec.EncodedFormat)} image breaks off before its end. " +
                                               "Copy or generate it again, or remove it.");
            }

            if (result != SKCodecResult.Success)
            {
                throw new ImageFormatException($"{name}: the {FormatName(codec.EncodedFormat)} image is damaged ({result}). " +
                                               "Copy or generate it again, or remove it.");
            }

            if (codec.EncodedFormat == SKEncodedImageFormat.Png && DeepPng.Is16Bit(encoded))
            {
                DeepPng.Decode(encoded, interleaved, width, height);
            }

            return Arrange(interleaved, width, height, codec.EncodedOrigin, codec.Info.AlphaType != SKAlphaType.Opaque);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(interleaved);
        }
    }

    // Parts colour and opacity, and turns the image upright. The eight EXIF orientations are the walks through the stored image
    // that start in one of its corners and go along rows or along columns; a walk is its start and two strides.
    private static RgbImage Arrange(byte[] interleaved, int width, int height, SKEncodedOrigin origin, bool hasAlpha)
    {
        (bool transposed, bool fromRight, bool fromBottom) = origin switch
        {
            SKEncodedOrigin.TopRight => (false, true, false),
            SKEncodedOrigin.BottomRight => (false, true, true),
            SKEncodedOrigin.BottomLeft => (false, false, true),
            SKEncodedOrigin.LeftTop => (true, false, false),
            SKEncodedOrigin.RightTop => (true, false, true),
            SKEncodedOrigin.RightBottom => (true, true, true),
            SKEncodedOrigin.LeftBottom => (true, true, false),
            _ => (false, false, false),
        };
        int right = fromRight ? -1 : 1, down = fromBottom ? -width : width;
        int start = (fromRight ? width - 1 : 0) + (fromBottom ? (height - 1) * width : 0);
        (int columnStride, int rowStride) = transposed ? (down, right) : (right, down);
        (int outWidth, int outHeight) = transposed ? (height, width) : (width, height);

        var pixels = new byte[3 * outWidth * outHeight];
        byte[]? alpha = hasAlpha ? new byte[outWidth * outHeight] : null;
        for (int row = 0, o = 0; row < outHeight; row++)
        {
            for (int column = 0, source = start + row * rowStride; column < outWidth; column++, o++, source += columnStride)
            {
                ReadOnlySpan<byte> pixel = interleaved.AsSpan(4 * source, 4);
                pixels[3 * o] = pixel[0];
                pixels[3 * o + 1] = pixel[1];
                pixels[3 * o + 2] = pixel[2];
                if (alpha is not null)
                {
                    alpha[o] = pixel[3];
                }
            }
        }

        return new RgbImage(outWidth, outHeight, pixels, alpha);
    }

    private static string FormatName(SKEncodedImageFormat format) =>
        format == SKEncodedImageFormat.Webp ? "WebP" : format.ToString().ToUpperInvariant();
}
