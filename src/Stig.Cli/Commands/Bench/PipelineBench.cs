using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.Win32.SafeHandles;
using SkiaSharp;
using Stig.Model.Imaging;
using Stig.Model.Refinement;

namespace Stig.Cli.Commands.Bench;

/// <summary>What the pipeline costs beside decoding and encoding: medians of rounds.</summary>
/// <param name="Threads">Threads that decoded and encoded.</param>
/// <param name="Images">Images a round.</param>
/// <param name="Size">Their height and width in pixels.</param>
/// <param name="Format">Their format, in and out.</param>
/// <param name="Durable">Whether outputs were synced to the disk.</param>
/// <param name="Decode">Decoding alone, in memory.</param>
/// <param name="Codec">Decoding and encoding, in memory.</param>
/// <param name="Skia">Decoding and encoding by SkiaSharp's own codecs at their fastest lossless setting, in memory.</param>
/// <param name="Files">Reading the input, writing the output under another name and renaming it, alone.</param>
/// <param name="Stages">The stages alone, a plain loop: read and decode, encode and write.</param>
/// <param name="Pipeline">The whole job, its model replaced by a pass-through.</param>
/// <param name="Ratio">The rate of the whole job over that of the stages alone: what the pipeline costs.</param>
/// <param name="RatioToCodec">The rate of the whole job, files included, over that of decoding and encoding in memory.</param>
/// <param name="RatioToSkia">The same over SkiaSharp's.</param>
/// <param name="FirstOutputSeconds">From the job's start until its first output is written.</param>
internal sealed record PipelineBenchReport(
    int Threads, int Images, int Size, string Format, bool Durable,
    StageReport Decode, StageReport Codec, StageReport Skia, StageReport Files, StageReport Stages, StageReport Pipeline,
    double Ratio, double RatioToCodec, double RatioToSkia, double FirstOutputSeconds);

/// <summary>How fast something went.</summary>
/// <param name="Rate">Images a second.</param>
/// <param name="Milliseconds">Processor time an image, to which other programs on the machine add little.</param>
internal sealed record StageReport(double Rate, double Milliseconds)
{
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Rate,8:F1} images/s {Milliseconds,8:F3} ms of processor time an image");
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(PipelineBenchReport))]
internal sealed partial class PipelineBenchJson : JsonSerializerContext;

/// <summary><c>stig bench pipeline</c>: the stages alone against the whole job with the model replaced by a pass-through.</summary>
internal static class PipelineBench
{
    private const int Different = 32;

    [ThreadStatic]
    private static byte[]? readBuffer;

    public static Command Create(Terminal terminal)
    {
        Option<int> images = Positive("--images", "Images a round.", 256);
        Option<int> size = Positive("--size", "Height and width of the images in pixels.", 256);
        Option<OutputFormat> format = CommonOptions.Choice<OutputFormat>("--format", "Format of the images, in and out; same: PNG.");
        Option<int> rounds = Positive("--rounds", "Rounds, each of every measurement.", 3);
        Option<int> threads = CommonOptions.Threads("Threads that decode and encode");
        Option<bool> durable = new("--durable") { Description = "Sync outputs to the disk, as refine does when asked." };
        Option<bool> json = CommonOptions.Json();
        StigCommand command = new("pipeline", "What refine costs beside the model: decoding and encoding alone, and the whole job without a model.",
            "stig bench pipeline", "stig bench pipeline --threads 8 --images 2000", "stig bench pipeline --format jpeg --size 1024")
        {
            images, size, format, rounds, threads, durable, json,
        };
        command.SetAction(async (parsed, cancellation) =>
        {
            var bench = new Settings(
                parsed.GetValue(threads) > 0 ? parsed.GetValue(threads) : Environment.ProcessorCount, parsed.GetValue(images), parsed.GetValue(size),
                new RefineCodec { Format = parsed.GetValue(format) }, parsed.GetValue(rounds), parsed.GetValue(durable));
            PipelineBenchReport report = await MeasureAsync(bench, cancellation);
            terminal.Line(parsed.GetValue(json)
                ? JsonSerializer.Serialize(report, PipelineBenchJson.Default.PipelineBenchReport)
                : string.Create(CultureInfo.InvariantCulture,
                    $"{report.Size} x {report.Size} {report.Format} in and out, {report.Threads} threads, {report.Images} images a round\n"
                    + $"decode                    {report.Decode}\n"
                    + $"decode and encode         {report.Codec}\n"
                    + $"the same by SkiaSharp     {report.Skia}\n"
                    + $"read and write            {report.Files}\n"
                    + $"read, decode, encode,\n"
                    + $"write, in a plain loop    {report.Stages}\n"
                    + $"pipeline                  {report.Pipeline}\n"
                    + $"ratio                     {report.Ratio,8:F3} to the plain loop, {report.RatioToCodec:F3} to decode and encode in memory, "
                    + $"{report.RatioToSkia:F2} to SkiaSharp's; first output after {report.FirstOutputSeconds:F2} s"));
            return ExitCode.Success;
        });
        return command;
    }

    private static async Task<PipelineBenchReport> MeasureAsync(Settings bench, CancellationToken cancellation)
    {
        string folder = Directory.CreateTempSubdirectory("stig-bench-").FullName;
        try
        {
            string inputs = Path.Combine(folder, "in"), extension = ImageFormats.Output(bench.Codec.Format, "image.png").Extension;
            byte[][] encoded = new byte[Math.Min(bench.Images, Different)][];
            string[] paths = [.. Enumerable.Range(0, bench.Images).Select(i => Path.Combine(inputs, $"{i:D6}{extension}"))];
            for (int i = 0; i < bench.Images; i++)
            {
                cancellation.ThrowIfCancellationRequested();
                if (i < encoded.Length)
                {
                    ImageCodec.Save(paths[i], SyntheticImages.GanLike(1, i, bench.Size));
                    encoded[i] = File.ReadAllBytes(paths[i]);
                }
                else
                {
                    File.WriteAllBytes(paths[i], encoded[i % encoded.Length]);
                }
            }

            // The first round is not counted: code is compiled, files enter the system's cache. Outputs stay until the end: ext4 looks over the
            // inodes of files deleted lately whenever one is made, which would double the cost of a small image.
            using var refiner = new PassThroughRefiner();
            List<(StageReport Decode, StageReport Codec, StageReport Skia, StageReport Files, StageReport Stages, StageReport Pipeline, double First)> measured = [];
            for (int round = 0; round <= bench.Rounds; round++)
            {
                cancellation.ThrowIfCancellationRequested();
                string copies = Directory.CreateDirectory(Path.Combine(folder, $"copies-{round}")).FullName;
                string loops = Directory.CreateDirectory(Path.Combine(folder, $"loop-{round}")).FullName, output = Path.Combine(folder, $"out-{round}");
                StageReport decode = Measure(bench, i => ImageCodec.Decode(encoded[i % encoded.Length], paths[i]));
                StageReport codec = Measure(bench, i => bench.Codec.Recode(encoded[i % encoded.Length], paths[i], refiner));
                StageReport skia = Measure(bench, i => SkiaRecode(encoded[i % encoded.Length], bench.Codec.Format));
                StageReport files = Measure(bench, i => Write(copies, i, Read(paths[i])));
                StageReport stages = Measure(
                    bench, i => bench.Codec.Recode(Read(paths[i]), paths[i], refiner, content => Write(loops, i, content.Span)));
                double first = 0;
                StageReport pipeline = await MeasureAsync(
                    bench, async () => first = await RunJobAsync(bench, inputs, output, cancellation).ConfigureAwait(false)).ConfigureAwait(false);
                measured.Add((decode, codec, skia, files, stages, pipeline, first));
            }

            measured.RemoveAt(0);
            return new PipelineBenchReport(
                bench.Threads, bench.Images, bench.Size, extension[1..], bench.Durable,
                Median(measured.Select(round => round.Decode)), Median(measured.Select(round => round.Codec)),
                Median(measured.Select(round => round.Skia)), Median(measured.Select(round => round.Files)),
                Median(measured.Select(round => round.Stages)), Median(measured.Select(round => round.Pipeline)),
                Median(measured.Select(round => round.Pipeline.Rate / round.Stages.Rate)),
                Median(measured.Select(round => round.Pipeline.Rate / round.Codec.Rate)),
                Median(measured.Select(round => round.Pipeline.Rate / round.Skia.Rate)), Median(measured.Select(round => round.First)));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    // Into memory that the thread uses again, as the job does.
    private static ReadOnlySpan<byte> Read(string path)
    {
        using SafeFileHandle file = File.OpenHandle(path);
        int length = (int)RandomAccess.GetLength(file);
        readBuffer = readBuffer?.Length >= length ? readBuffer : new byte[2 * length];
        return readBuffer.AsSpan(0, RandomAccess.Read(file, readBuffer.AsSpan(0, length), 0));
    }

    // What a program reaches that leaves images to SkiaSharp. PNG: the fastest of its settings, see bench/results.
    private static void SkiaRecode(byte[] content, OutputFormat format)
    {
        using SKBitmap bitmap = SKBitmap.Decode(content) ?? throw new InvalidOperationException("SkiaSharp does not read the image.");
        using SKPixmap pixels = bitmap.PeekPixels();
        using SKData? encoded = format switch
        {
            OutputFormat.Jpeg => pixels.Encode(new SKJpegEncoderOptions(95, SKJpegEncoderDownsample.Downsample444, SKJpegEncoderAlphaOption.Ignore)),
            OutputFormat.Webp => pixels.Encode(new SKWebpEncoderOptions(SKWebpEncoderCompression.Lossless, 100)),
            _ => pixels.Encode(new SKPngEncoderOptions(SKPngEncoderFilterFlags.Sub, 1)),
        };
        _ = encoded ?? throw new InvalidOperationException("SkiaSharp does not write the image.");
    }

    private static void Write(string folder, int image, ReadOnlySpan<byte> content)
    {
        string path = Path.Combine(folder, $"{image:D6}");
        File.WriteAllBytes($"{path}.tmp", content);
        File.Move($"{path}.tmp", path);
    }

    // The same work for every image, on as many threads as the job has for decoding and encoding.
    private static StageReport Measure(Settings bench, Action<int> work) => MeasureAsync(bench, () =>
    {
        int next = -1;
        Thread[] workers = [.. Enumerable.Range(0, bench.Threads).Select(_ => new Thread(() =>
        {
            for (int i; (i = Interlocked.Increment(ref next)) < bench.Images;)
            {
                work(i);
            }
        }))];
        Array.ForEach(workers, worker => worker.Start());
        Array.ForEach(workers, worker => worker.Join());
        return Task.CompletedTask;
    }).GetAwaiter().GetResult();

    private static async Task<StageReport> MeasureAsync(Settings bench, Func<Task> work)
    {
        TimeSpan used = Environment.CpuUsage.TotalTime;
        Stopwatch clock = Stopwatch.StartNew();
        await work().ConfigureAwait(false);
        double seconds = clock.Elapsed.TotalSeconds;
        return new StageReport(bench.Images / seconds, (Environment.CpuUsage.TotalTime - used).TotalMilliseconds / bench.Images);
    }

    // The seconds from the start until the first output.
    private static async Task<double> RunJobAsync(Settings bench, string inputs, string output, CancellationToken cancellation)
    {
        Stopwatch clock = Stopwatch.StartNew();
        double first = 0;
        InputListing listing = await InputListing.OpenAsync(
            new InputOptions { Paths = [inputs], OutputFolder = output, Codec = bench.Codec }, cancellation).ConfigureAwait(false);
        using var refiner = new PassThroughRefiner(batch: 8);
        using RefineJob job = RefineJob.Open([refiner], new RefineJobOptions
        {
            OutputFolder = output,
            Durable = bench.Durable,
            Pipeline = new RefinePipelineOptions { Codec = bench.Codec, CodecThreads = bench.Threads },
        });
        await foreach (ManifestEntry entry in job.RunAsync(listing.ListAsync(cancellation), cancellation).ConfigureAwait(false))
        {
            first = first == 0 ? clock.Elapsed.TotalSeconds : first;
        }

        return first;
    }

    private static StageReport Median(IEnumerable<StageReport> reports)
    {
        StageReport[] all = [.. reports];
        return new StageReport(Median(all.Select(report => report.Rate)), Median(all.Select(report => report.Milliseconds)));
    }

    private static double Median(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return Math.Round(sorted[sorted.Length / 2], 3);
    }

    private static Option<int> Positive(string name, string description, int value) => CommonOptions.Positive(new Option<int>(name)
    {
        Description = description,
        HelpName = "N",
        DefaultValueFactory = _ => value,
    });

    private sealed record Settings(int Threads, int Images, int Size, RefineCodec Codec, int Rounds, bool Durable);
}
