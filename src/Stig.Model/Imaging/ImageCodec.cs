using System.Buffers;
using System.IO.Compression;
using Microsoft.Win32.SafeHandles;
using SkiaSharp;

namespace Stig.Model.Imaging;

/// <summary>Reads PNG, JPEG, WebP and BMP and writes PNG, JPEG and WebP.</summary>
/// <remarks>What a decoded image holds:
/// <list type="bullet">
/// <item>The content decides on the format, not the file's extension.</item>
/// <item>Grey becomes three equal channels; palettes are expanded. Grey is written as grey again, see <see cref="Encode"/>.</item>
/// <item>Opacity is kept apart in <see cref="RgbImage.Alpha"/>; colours are never multiplied by it.</item>
/// <item>16 bits a channel (PNG) become 8 by rounding v / 257 to the nearest integer.</item>
/// <item>EXIF orientation is applied, once: the image comes out upright, and files written here carry no other orientation.</item>
/// <item>Values are those stored in the file. No profile, gamma or other colour-space transformation is applied.</item>
/// <item>Of an animation, the first frame.</item>
/// </list></remarks>
public static class ImageCodec
{
    /// <summary>The largest pixel count that can be decoded: 2^28.</summary>
    public const long MaxPixels = 1L << 28;

    // A file holds at most 8 bytes a pixel (16 bits, four channels), and beside them profiles, previews and the like.
    private const int BytesPerPixel = 8, BytesBeside = 64 << 20;

    // A progressive JPEG has about ten scans. Each takes as long as the whole image, and can be as short as a few bytes.
    private const int MaxScans = 200;

    // Segments of a JPEG, chunks of a WebP. Of each, which may have four or eight bytes, decoders keep a hundred; thousands hold
    // the longest manifests and animations.
    private const int MaxParts = 100_000;

    /// <summary>The version of the native library behind the decoders, Skia; loads it.</summary>
    /// <exception cref="TypeInitializationException">It cannot be loaded; the inner exception says why.</exception>
    /// <exception cref="DllNotFoundException">It cannot be loaded.</exception>
    public static string LibraryVersion => SkiaSharpVersion.Native.ToString();

    /// <summary>Reads an image file's pixels.</summary>
    /// <param name="path">The file.</param>
    /// <param name="maxPixels">Files that declare more pixels are refused before memory is taken,
    /// 1..<see cref="MaxPixels"/>.</param>
    /// <exception cref="ImageFormatException">The file cannot be read or <see cref="Decode"/> refuses its content.</exception>
    public static RgbImage Load(string path, long maxPixels = MaxPixels) => Decode(ReadFile(path, maxPixels), path, maxPixels).Image;

    /// <summary>Reads an image file's bytes.</summary>
    /// <remarks>What is not a plain file (a folder, a pipe, a device) is refused without being opened, since to open it could wait
    /// for ever.</remarks>
    /// <param name="path">The file.</param>
    /// <param name="maxPixels">Files longer than so many pixels can need are refused before memory is taken,
    /// 1..<see cref="MaxPixels"/>.</param>
    /// <exception cref="ImageFormatException">The file cannot be read, is empty, or is too long.</exception>
    public static byte[] ReadFile(string path, long maxPixels = MaxPixels) => ReadFile(path, maxPixels, (file, length) =>
    {
        byte[] content = new byte[length];
        int read = Fill(file, content);
        return read == length ? content : content[..read];
    });

    /// <summary>Opens an image file and has it read; see <see cref="ReadFile(string, long)"/>.</summary>
    /// <param name="path">The file.</param>
    /// <param name="maxPixels">As there.</param>
    /// <param name="read">Is given the file and its length in bytes.</param>
    /// <exception cref="ImageFormatException">As there; an <see cref="IOException"/> of <paramref name="read"/> becomes one too.</exception>
    internal static T ReadFile<T>(string path, long maxPixels, Func<SafeFileHandle, int, T> read)
    {
        ArgumentNullException.ThrowIfNull(path);
        CheckLimit(maxPixels);
        string name = ImageFiles.Printable(path);
        try
        {
            FileInfo file = ImageFiles.Followed(path);
            if (!file.Exists && Directory.Exists(path))
            {
                throw new ImageFormatException($"{name}: cannot be read: it is a folder. Name the images in it, or remove it.");
            }

            // Pipes, sockets and devices have no length either.
            CheckLength(file.Length, name, maxPixels);
            using SafeFileHandle handle = File.OpenHandle(path);

            // The file may be another than the one looked at.
            long length = RandomAccess.GetLength(handle);
            CheckLength(length, name, maxPixels);
            return read(handle, (int)length);
        }
        catch (Exception error) when (error is (IOException and not ImageFormatException) or UnauthorizedAccessException)
        {
            throw new ImageFormatException($"{name}: cannot be read: {error.Message.TrimEnd('.')}. Check its name and permissions.", error);
        }
    }

    /// <exception cref="ImageFormatException">A file is empty, or longer than so many pixels can need.</exception>
    internal static void CheckLength(long length, string name, long maxPixels)
    {
        if (length == 0)
        {
            throw Empty(name);
        }

        if (length > Math.Min(Array.MaxLength, (BytesPerPixel * maxPixels) + BytesBeside))
        {
            throw new ImageFormatException($"{name}: has {length} bytes, more than an image of {maxPixels} pixels can need. " +
                                           "Scale it down, cut it into parts, or remove it.");
        }
    }

    /// <summary>Reads a file from its start until the memory is full or the file ends.</summary>
    /// <returns>Bytes read.</returns>
    internal static int Fill(SafeFileHandle file, Span<byte> memory)
    {
        int count = 0;
        while (count < memory.Length && RandomAccess.Read(file, memory[count..], count) is int read and > 0)
        {
            count += read;
        }

        return count;
    }

    /// <summary>What the header of an image held in memory declares; its pixels are not looked at.</summary>
    /// <param name="encoded">The whole content of a PNG, JPEG, WebP or BMP file.</param>
    /// <param name="name">What to call the image in messages, usually its path.</param>
    /// <param name="maxPixels">Content that declares more pixels is refused, 1..<see cref="MaxPixels"/>.</param>
    /// <exception cref="ImageFormatException">The content is empty, of another format, cut short in its header, or too
    /// large.</exception>
    public static ImageHeader Identify(ReadOnlySpan<byte> encoded, string name, long maxPixels = MaxPixels)
    {
        CheckLimit(maxPixels);
        name = ImageFiles.Printable(name);
        if (encoded.IsEmpty)
        {
            throw Empty(name);
        }

        if (ImageHeaders.FormatOf(encoded) is not { } format)
        {
            throw new ImageFormatException(ImageHeaders.ForeignName(encoded) is { } foreign
                ? $"{name}: holds a {foreign} image. Convert it to PNG, JPEG, WebP or BMP."
                : $"{name}: is not a PNG, JPEG, WebP or BMP image, or breaks off within its header. " +
                  "Replace it by an image of one of these formats, or remove it.");
        }

        if (ImageHeaders.Read(encoded, format) is not { } header)
        {
            throw new ImageFormatException($"{name}: the header of the {ImageFormats.Name(format)} image is damaged or breaks off. " +
                                           "Copy or generate it again, or remove it.");
        }

        CheckSize(header.Width, header.Height, name, maxPixels);
        return header;
    }

    /// <summary>Decodes an image held in memory.</summary>
    /// <param name="encoded">The whole content of a PNG, JPEG, WebP or BMP file.</param>
    /// <param name="name">What to call the image in messages, usually its path.</param>
    /// <param name="maxPixels">Content that declares more pixels is refused before memory is taken,
    /// 1..<see cref="MaxPixels"/>.</param>
    /// <exception cref="ImageFormatException">The content is empty, of another format, damaged, cut short or too
    /// large.</exception>
    public static DecodedImage Decode(ReadOnlySpan<byte> encoded, string name, long maxPixels = MaxPixels) =>
        DecodeUsing(null, encoded, name, maxPixels);

    /// <summary>Decodes an image held in memory into pixels that may come from <paramref name="arrays"/>.</summary>
    internal static unsafe DecodedImage DecodeUsing(PixelArrays? arrays, ReadOnlySpan<byte> encoded, string name, long maxPixels)
    {
        name = ImageFiles.Printable(name);
        ImageHeader header = Identify(encoded, name, maxPixels);
        (bool isComplete, int parts, int scans) = EndMarks.Survey(encoded, header.Format);
        if (!isComplete)
        {
            throw BreaksOff(header.Format, name);
        }

        if (parts > MaxParts || scans > MaxScans)
        {
            throw Damaged(header.Format, name, $"it has more than {(scans > MaxScans ? $"{MaxScans} scans" : $"{MaxParts} segments or chunks")}");
        }

        ImageMetadata metadata = MetadataReader.Read(encoded, header.Format);
        int orientation = metadata.Exif is { } exif ? ExifData.Orientation(exif) : 1;
        if (header.Format == ImageFormat.Png && orientation == 1
            && PngDecoder.Decode(encoded, header.Width, header.Height, arrays) is { } image)
        {
            return new DecodedImage(image, new ImageSource(header, metadata));
        }

        if (header.Format == ImageFormat.Png)
        {
            encoded = PngLongChunks.Remove(encoded);
        }

        fixed (byte* start = encoded)
        {
            using SKData data = SKData.Create((nint)start, encoded.Length);
            using SKCodec? codec = SKCodec.Create(data);
            if (codec is null)
            {
                throw Damaged(header.Format, name, "its header");
            }

            // The header was read here; that the decoder takes it for the same is made sure of before its buffer is taken.
            CheckSize(codec.Info.Width, codec.Info.Height, name, maxPixels);
            return new DecodedImage(Read(codec, encoded, header, name, orientation, arrays), new ImageSource(header, metadata));
        }
    }

    /// <summary>Encodes an image.</summary>
    /// <remarks>A grey source gives a grey image: the rounded mean of the three channels, in PNG and JPEG as one channel, in WebP as
    /// three equal ones. What has no place in the format is left out and noted.</remarks>
    /// <param name="image">The image.</param>
    /// <param name="format">PNG, JPEG or WebP.</param>
    /// <param name="options">How; null for the defaults.</param>
    /// <param name="source">What the image was made from, whose metadata go over; null where there is none.</param>
    /// <param name="stamp">What the file says of how it was made; null for nothing.</param>
    /// <exception cref="ArgumentException">The format is not written, an option is out of range, or a text of the stamp cannot be
    /// stored.</exception>
    /// <exception cref="IOException">The format cannot hold an image of that size.</exception>
    public static EncodedImage Encode(RgbImage image, ImageFormat format, EncodeOptions? options = null, ImageSource? source = null,
                                      ImageStamp? stamp = null)
    {
        using var content = new ByteBuffer();
        IReadOnlyList<ImageNote> notes = EncodeTo(content, image, format, options ?? new EncodeOptions(), source, stamp);
        return new EncodedImage(content.Written.ToArray(), notes);
    }

    /// <summary>Encodes an image into a buffer; gives the notes.</summary>
    internal static IReadOnlyList<ImageNote> EncodeTo(
        ByteBuffer content, RgbImage image, ImageFormat format, EncodeOptions options, ImageSource? source, ImageStamp? stamp)
    {
        ArgumentNullException.ThrowIfNull(image);
        options.Validate();
        ImageMetadata given = source?.Metadata ?? ImageMetadata.Empty;
        // A profile for colours says what the numbers of three channels mean; with one, grey stays three equal channels.
        bool grey = source?.Header.Kind == SampleKind.Grey;
        bool oneChannel = grey && format != ImageFormat.Webp
                          && (given.ColourProfile is null || IccProfile.SpaceOf(given.ColourProfile) != ProfileSpace.Rgb);
        OutputMetadata metadata = OutputMetadata.Of(given, options.Metadata, format, oneChannel, image.Width, image.Height);
        List<KeyValuePair<string, string>> texts = Texts(stamp);
        if (grey && !oneChannel)
        {
            image = image.ToGrey();
        }

        switch (format)
        {
            case ImageFormat.Png:
                PngEncoder.Encode(image, oneChannel, options, PngMetadata.Chunks(metadata.Kept, texts), content);
                break;
            case ImageFormat.Jpeg:
                content.Add(JpegFile.Add(SkiaEncoder.Jpeg(image, oneChannel, options), metadata.Kept,
                                         texts.Count == 0 ? null : string.Join("; ", texts.Select(text => $"{text.Key}: {text.Value}"))));
                break;
            case ImageFormat.Webp:
                content.Add(WebpFile.Add(
                    SkiaEncoder.Webp(image, options),
                    texts.Count == 0 ? metadata.Kept : metadata.Kept with { Xmp = XmpPacket.AddEvent(metadata.Kept.Xmp, stamp!) },
                    image.Width, image.Height));
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(format), format, "Images are written as PNG, JPEG or WebP.");
        }

        return format == ImageFormat.Jpeg && image.Alpha?.AsSpan().IndexOfAnyExcept(byte.MaxValue) >= 0
            ? [.. metadata.Notes, new ImageNote(ImageNoteKind.OpacityDropped, "JPEG holds no opacity; it is not carried over.")]
            : metadata.Notes;
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
        if (ImageFormats.OfExtension(path) is not { } format || format == ImageFormat.Bmp)
        {
            throw new ArgumentException($"{path}: images are written as .png, .jpg or .webp, not as '{Path.GetExtension(path)}'.",
                                        nameof(path));
        }

        byte[] encoded = Encode(image, format).Bytes;
        AtomicFile.Write(path, format == ImageFormat.Png && texts is { Count: > 0 } ? PngText.Add(encoded, texts) : encoded);
    }

    private static List<KeyValuePair<string, string>> Texts(ImageStamp? stamp)
    {
        (string Key, string? Text)[] all = [("Software", stamp?.Software), ("Model", stamp?.Model), ("Comment", stamp?.Comment)];
        List<KeyValuePair<string, string>> texts =
            [.. all.Where(entry => entry.Text is not null).Select(entry => new KeyValuePair<string, string>(entry.Key, entry.Text!))];
        // What PNG can hold, JPEG and WebP can too.
        texts.ForEach(text => PngText.Content(text.Key, text.Value));
        return texts;
    }

    private static void CheckLimit(long maxPixels)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(maxPixels, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(maxPixels, MaxPixels);
    }

    private static void CheckSize(int width, int height, string name, long maxPixels)
    {
        if ((long)width * height > maxPixels)
        {
            throw new ImageFormatException($"{name}: declares {width} x {height} pixels, more than the {maxPixels} that are read. " +
                                           $"Scale it down{(maxPixels < MaxPixels ? ", cut it into parts, or allow more by --max-pixels" : " or cut it into parts")}.");
        }
    }

    private static ImageFormatException Empty(string name) =>
        new($"{name}: is empty (0 bytes) or no plain file. Copy or generate it again, or remove it.");

    private static ImageFormatException BreaksOff(ImageFormat format, string name) =>
        new($"{name}: the {ImageFormats.Name(format)} image breaks off before its end. Copy or generate it again, or remove it.");

    private static ImageFormatException Damaged(ImageFormat format, string name, string what) =>
        new($"{name}: the {ImageFormats.Name(format)} image is damaged ({what}). Copy or generate it again, or remove it.");

    private static unsafe RgbImage Read(
        SKCodec codec, ReadOnlySpan<byte> encoded, ImageHeader header, string name, int orientation, PixelArrays? arrays)
    {
        (int width, int height) = (codec.Info.Width, codec.Info.Height);
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

            if (result == SKCodecResult.IncompleteInput)
            {
                throw BreaksOff(header.Format, name);
            }

            if (result != SKCodecResult.Success)
            {
                throw Damaged(header.Format, name, result.ToString());
            }

            if (header.Format == ImageFormat.Png && header.Bits == 16)
            {
                try
                {
                    DeepPng.Decode(encoded, interleaved, width, height);
                }
                catch (Exception error) when (error is InvalidDataException or IOException)
                {
                    throw Damaged(header.Format, name, "its compressed data");
                }
            }

            return Arrange(interleaved, width, height, orientation, codec.Info.AlphaType != SKAlphaType.Opaque, arrays);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(interleaved);
        }
    }

    // Parts colour and opacity, and turns the image upright. The eight EXIF orientations are the walks through the stored image
    // that start in one of its corners and go along rows or along columns; a walk is its start and two strides.
    private static RgbImage Arrange(byte[] interleaved, int width, int height, int orientation, bool hasAlpha, PixelArrays? arrays)
    {
        (bool transposed, bool fromRight, bool fromBottom) = orientation switch
        {
            2 => (false, true, false),
            3 => (false, true, true),
            4 => (false, false, true),
            5 => (true, false, false),
            6 => (true, false, true),
            7 => (true, true, true),
            8 => (true, true, false),
            _ => (false, false, false),
        };
        int right = fromRight ? -1 : 1, down = fromBottom ? -width : width;
        int start = (fromRight ? width - 1 : 0) + (fromBottom ? (height - 1) * width : 0);
        (int columnStride, int rowStride) = transposed ? (down, right) : (right, down);
        (int outWidth, int outHeight) = transposed ? (height, width) : (width, height);

        int length = 3 * outWidth * outHeight;
        byte[] pixels = arrays?.Take(length) ?? new byte[length];
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
}
