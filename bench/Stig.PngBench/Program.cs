// Times PNG encoders and decoders on one thread, in one run: Skia's in several settings, the program's own, and libspng and libdeflate where
// the system has them. The same pixels each, checked by decoding.
// usage: Stig.PngBench [FOLDER]; images of FOLDER; default 48 made-up images of 256 x 256, half of them real-like, half GAN-like
using System.Diagnostics;
using System.Globalization;
using System.IO.Compression;
using System.Runtime.InteropServices;
using SkiaSharp;
using Stig.Interop;
using Stig.Model.Imaging;

RgbImage[] images = args.Length > 0
    ? [.. ImageFiles.FindIn(args[0]).Take(200).Select(file => ImageCodec.Load(file.Path))]
    : [.. Enumerable.Range(0, 48).Select(i => i % 2 == 0 ? SyntheticImages.RealLike(1, i, 256) : SyntheticImages.GanLike(1, i, 256))];
double pixels = images.Sum(image => (double)image.Width * image.Height);
Console.WriteLine($"{ProcessorInfo.Name}; Skia {ImageCodec.LibraryVersion}; {images.Length} images, {pixels / images.Length:F0} pixels on average");

List<(string Name, Func<RgbImage, byte[]> Encode)> encoders = [];
foreach ((string name, SKPngEncoderFilterFlags filter, int level) in new[]
         {
             ("Sub, level 1", SKPngEncoderFilterFlags.Sub, 1),
             ("all filters, level 1", SKPngEncoderFilterFlags.AllFilters, 1),
             ("Paeth, level 1", SKPngEncoderFilterFlags.Paeth, 1),
             ("all filters, level 6 (its default)", SKPngEncoderFilterFlags.AllFilters, 6),
         })
{
    encoders.Add(($"Skia, {name}", image => Skia(image, new SKPngEncoderOptions(filter, level))));
}

foreach ((PngFilter filter, int level) in new[]
         {
             (PngFilter.Adaptive, 1), (PngFilter.Sub, 1), (PngFilter.Paeth, 1), (PngFilter.Adaptive, 2), (PngFilter.Adaptive, 4),
             (PngFilter.Adaptive, 6), (PngFilter.Adaptive, 9),
         })
{
    var options = new EncodeOptions { PngFilter = filter, PngLevel = level };
    encoders.Add(($"stig, {filter}, level {level}", image => ImageCodec.Encode(image, ImageFormat.Png, options).Bytes));
}

if (Spng.IsThere)
{
    encoders.Add(("libspng, its defaults, level 1", image => Spng.Encode(image, 1)));
}

double reference = 0;
foreach ((string name, Func<RgbImage, byte[]> encode) in encoders)
{
    long bytes = 0;
    foreach (RgbImage image in images)
    {
        byte[] file = encode(image);
        bytes += file.Length;
        if (!ImageCodec.Load(Write(file)).Pixels.AsSpan().SequenceEqual(image.Pixels))
        {
            throw new InvalidOperationException($"{name} does not give the same pixels back.");
        }
    }

    double seconds = Median(() => Array.ForEach(images, image => encode(image)), runs: 9) / images.Length;
    reference = reference == 0 ? seconds : reference;
    Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
        $"{name,-42} {seconds * 1e3,8:F3} ms   {reference / seconds,6:F2} times Skia's rate   {bytes * 8 / pixels,6:F2} bits a pixel"));
}

if (Deflate.IsThere)
{
    byte[][] rows = [.. images.Select(image => Rows(ImageCodec.Encode(image, ImageFormat.Png).Bytes))];
    foreach (int level in new[] { 1, 2, 6 })
    {
        using var deflate = new Deflate(level);
        double bits = rows.Sum(data => deflate.Compress(data)) * 8.0 / pixels;
        double seconds = Median(() => Array.ForEach(rows, data => deflate.Compress(data)), runs: 9) / images.Length;
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{$"libdeflate, level {level}, without filtering",-42} {seconds * 1e3,8:F3} ms   {reference / seconds,6:F2} times Skia's rate   {bits,6:F2} bits a pixel"));
    }
}

foreach ((string writer, byte[][] files) in new[]
         {
             ("stig", images.Select(image => ImageCodec.Encode(image, ImageFormat.Png).Bytes).ToArray()),
             ("Skia at its default", [.. images.Select(image => Skia(image, new SKPngEncoderOptions(SKPngEncoderFilterFlags.AllFilters, 6)))]),
         })
{
    double skia = Median(() => Array.ForEach(files, file => SkiaDecode(file)), runs: 9) / files.Length;
    double own = Median(() => Array.ForEach(files, file => ImageCodec.Decode(file, "image.png")), runs: 9) / files.Length;
    Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
        $"decoding what {writer} wrote: Skia {skia * 1e3:F3} ms, stig {own * 1e3:F3} ms, {skia / own:F2} times Skia's rate"));
}

// The filtered rows of a file that the program wrote: its one IDAT chunk.
static byte[] Rows(byte[] png)
{
    int at = png.AsSpan().IndexOf("IDAT"u8);
    using var zlib = new ZLibStream(new MemoryStream(png[(at + 4)..^16]), CompressionMode.Decompress);
    var rows = new MemoryStream();
    zlib.CopyTo(rows);
    return rows.ToArray();
}

static string Write(byte[] file)
{
    string path = Path.Combine(Path.GetTempPath(), $"stig-png-bench-{Environment.ProcessId}.png");
    File.WriteAllBytes(path, file);
    return path;
}

static unsafe byte[] Skia(RgbImage image, SKPngEncoderOptions options)
{
    byte[] interleaved = new byte[4 * image.Width * image.Height];
    for (int i = 0, o = 0; i < image.Pixels.Length; i += 3, o += 4)
    {
        (interleaved[o], interleaved[o + 1], interleaved[o + 2], interleaved[o + 3]) =
            (image.Pixels[i], image.Pixels[i + 1], image.Pixels[i + 2], 255);
    }

    var info = new SKImageInfo(image.Width, image.Height, SKColorType.Rgba8888, SKAlphaType.Opaque);
    fixed (byte* start = interleaved)
    {
        using var pixmap = new SKPixmap(info, (nint)start, info.RowBytes);
        using SKData? data = pixmap.Encode(options);
        return data?.ToArray() ?? throw new InvalidOperationException("Skia cannot encode this image.");
    }
}

static void SkiaDecode(byte[] file)
{
    using SKData data = SKData.CreateCopy(file);
    using SKCodec codec = SKCodec.Create(data) ?? throw new InvalidOperationException("Skia cannot decode this file.");
    using var bitmap = new SKBitmap(new SKImageInfo(codec.Info.Width, codec.Info.Height, SKColorType.Rgba8888, SKAlphaType.Unpremul, null));
    if (codec.GetPixels(bitmap.Info, bitmap.GetPixels()) != SKCodecResult.Success)
    {
        throw new InvalidOperationException("Skia cannot decode this file.");
    }
}

static double Median(Action run, int runs)
{
    run();
    double[] seconds = new double[runs];
    for (int i = 0; i < runs; i++)
    {
        long start = Stopwatch.GetTimestamp();
        run();
        seconds[i] = Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    Array.Sort(seconds);
    return seconds[runs / 2];
}

/// <summary>libspng 0.7, where the system has it.</summary>
internal static unsafe partial class Spng
{
    private const string Library = "libspng.so.0";
    private const int EncodeContext = 2, ToBuffer = 12, CompressionLevel = 2, Png = 256, Finalize = 2;

    public static bool IsThere { get; } = NativeLibrary.TryLoad(Library, out _);

    public static byte[] Encode(RgbImage image, int level)
    {
        nint context = New(EncodeContext);
        try
        {
            var header = new Header { Width = (uint)image.Width, Height = (uint)image.Height, Depth = 8, Colour = 2 };
            Check(SetOption(context, ToBuffer, 1));
            Check(SetOption(context, CompressionLevel, level));
            Check(SetHeader(context, &header));
            fixed (byte* pixels = image.Pixels)
            {
                Check(EncodeImage(context, pixels, (nuint)image.Pixels.Length, Png, Finalize));
            }

            int error = 0;
            nuint length = 0;
            nint buffer = GetBuffer(context, &length, &error);
            Check(error);
            byte[] file = new ReadOnlySpan<byte>((void*)buffer, (int)length).ToArray();
            NativeMemory.Free((void*)buffer);
            return file;
        }
        finally
        {
            Free(context);
        }
    }

    private static void Check(int error)
    {
        if (error != 0)
        {
            throw new InvalidOperationException($"libspng: error {error}");
        }
    }

    [LibraryImport(Library, EntryPoint = "spng_ctx_new")]
    private static partial nint New(int flags);

    [LibraryImport(Library, EntryPoint = "spng_ctx_free")]
    private static partial void Free(nint context);

    [LibraryImport(Library, EntryPoint = "spng_set_option")]
    private static partial int SetOption(nint context, int option, int value);

    [LibraryImport(Library, EntryPoint = "spng_set_ihdr")]
    private static partial int SetHeader(nint context, Header* header);

    [LibraryImport(Library, EntryPoint = "spng_encode_image")]
    private static partial int EncodeImage(nint context, byte* pixels, nuint length, int format, int flags);

    [LibraryImport(Library, EntryPoint = "spng_get_png_buffer")]
    private static partial nint GetBuffer(nint context, nuint* length, int* error);

    [StructLayout(LayoutKind.Sequential)]
    private struct Header
    {
        public uint Width, Height;
        public byte Depth, Colour, Compression, Filter, Interlace;
    }
}

/// <summary>libdeflate 1, where the system has it.</summary>
internal sealed unsafe partial class Deflate(int level) : IDisposable
{
    private const string Library = "libdeflate.so.0";

    private readonly nint compressor = New(level);
    private readonly byte[] target = new byte[64 << 20];

    public static bool IsThere { get; } = NativeLibrary.TryLoad(Library, out _);

    public int Compress(byte[] data)
    {
        fixed (byte* from = data, to = target)
        {
            return (int)Compress(compressor, from, (nuint)data.Length, to, (nuint)target.Length);
        }
    }

    public void Dispose() => Free(compressor);

    [LibraryImport(Library, EntryPoint = "libdeflate_alloc_compressor")]
    private static partial nint New(int level);

    [LibraryImport(Library, EntryPoint = "libdeflate_zlib_compress")]
    private static partial nuint Compress(nint compressor, byte* from, nuint length, byte* to, nuint capacity);

    [LibraryImport(Library, EntryPoint = "libdeflate_free_compressor")]
    private static partial void Free(nint compressor);
}
