using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using Stig.Model.Imaging;
using Stig.Model.Refinement;

namespace Stig.Cli.Commands.Bench;

/// <summary>What the pipeline costs beside decoding and encoding.</summary>
/// <param name="Threads">Threads that decoded and encoded.</param>
/// <param name="Images">Images a round.</param>
/// <param name="Size">Their height and width in pixels.</param>
/// <param name="Durable">Whether outputs were synced to the disk.</param>
/// <param name="CodecRate">Images a second, decoded and encoded in memory.</param>
/// <param name="PipelineRate">Images a second through the whole job, its model replaced by a pass-through.</param>
/// <param name="Ratio">The second over the first: the median of rounds.</param>
/// <param name="FirstOutputSeconds">From the job's start until its first output is written, the median.</param>
internal sealed record PipelineBenchReport(
    int Threads, int Images, int Size, bool Durable, double CodecRate, double PipelineRate, double Ratio, double FirstOutputSeconds);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(PipelineBenchReport))]
internal sealed partial class PipelineBenchJson : JsonSerializerContext;

/// <summary><c>stig bench pipeline</c>: decoding and encoding alone against the whole job with the model replaced by a pass-through.</summary>
internal static class PipelineBench
{
    private const int Different = 32;

    public static Command Create(Terminal terminal)
    {
        Option<int> images = Positive("--images", "Images a round.", 256);
        Option<int> size = Positive("--size", "Height and width of the images in pixels.", 256);
        Option<int> rounds = Positive("--rounds", "Rounds, each of both measurements.", 3);
        Option<int> threads = CommonOptions.Threads();
        Option<bool> durable = new("--durable") { Description = "Sync outputs to the disk, as refine does when asked." };
        Option<bool> json = CommonOptions.Json();
        StigCommand command = new("pipeline", "What refine costs beside the model: decoding and encoding alone, and the whole job without a model.",
            "stig bench pipeline", "stig bench pipeline --threads 8 --images 2000")
        {
            images, size, rounds, threads, durable, json,
        };
        command.SetAction(async (parsed, cancellation) =>
        {
            int all = parsed.GetValue(threads) > 0 ? parsed.GetValue(threads) : Environment.ProcessorCount;
            PipelineBenchReport report = await MeasureAsync(
                all, parsed.GetValue(images), parsed.GetValue(size), parsed.GetValue(rounds), parsed.GetValue(durable), cancellation);
            terminal.Line(parsed.GetValue(json)
                ? JsonSerializer.Serialize(report, PipelineBenchJson.Default.PipelineBenchReport)
                : string.Create(CultureInfo.InvariantCulture,
                    $"{report.Size} x {report.Size} PNG in and out, {report.Threads} threads, {report.Images} images a round\n"
                    + $"decode and encode   {report.CodecRate:F1} images/s\n"
                    + $"pipeline            {report.PipelineRate:F1} images/s, first output after {report.FirstOutputSeconds:F2} s\n"
                    + $"ratio               {report.Ratio:F3}"));
            return ExitCode.Success;
        });
        return command;
    }

    private static async Task<PipelineBenchReport> MeasureAsync(
        int threads, int images, int size, int rounds, bool durable, CancellationToken cancellation)
    {
        string folder = Directory.CreateTempSubdirectory("stig-bench-").FullName;
        try
        {
            string inputs = Path.Combine(folder, "in");
            byte[][] encoded = new byte[Math.Min(images, Different)][];
            for (int i = 0; i < images; i++)
            {
                cancellation.ThrowIfCancellationRequested();
                string path = Path.Combine(inputs, $"{i:D6}.png");
                if (i < encoded.Length)
                {
                    ImageCodec.Save(path, SyntheticImages.GanLike(1, i, size));
                    encoded[i] = File.ReadAllBytes(path);
                }
                else
                {
                    File.WriteAllBytes(path, encoded[i % encoded.Length]);
                }
            }

            // The first round of both is not counted: code is compiled, files enter the system's cache.
            List<(double Codec, double Pipeline, double First)> measured = [];
            for (int round = 0; round <= rounds; round++)
            {
                cancellation.ThrowIfCancellationRequested();
                double codec = images / CodecSeconds(encoded, images, threads);
                string output = Path.Combine(folder, $"out-{round}");
                (double seconds, double first) = await JobSecondsAsync(inputs, output, threads, durable, cancellation).ConfigureAwait(false);
                Directory.Delete(output, recursive: true);
                measured.Add((codec, images / seconds, first));
            }

            measured.RemoveAt(0);
            return new PipelineBenchReport(threads, images, size, durable,
                Round(Median(measured.Select(round => round.Codec))), Round(Median(measured.Select(round => round.Pipeline))),
                Round(Median(measured.Select(round => round.Pipeline / round.Codec))), Round(Median(measured.Select(round => round.First))));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static double CodecSeconds(byte[][] encoded, int images, int threads)
    {
        var codec = new RefineCodec();
        using var refiner = new PassThroughRefiner();
        int next = -1;
        Stopwatch clock = Stopwatch.StartNew();
        Thread[] workers = [.. Enumerable.Range(0, threads).Select(_ => new Thread(() =>
        {
            for (int i; (i = Interlocked.Increment(ref next)) < images;)
            {
                codec.Recode(encoded[i % encoded.Length], "image.png", refiner);
            }
        }))];
        Array.ForEach(workers, worker => worker.Start());
        Array.ForEach(workers, worker => worker.Join());
        return clock.Elapsed.TotalSeconds;
    }

    private static async Task<(double Seconds, double First)> JobSecondsAsync(
        string inputs, string output, int threads, bool durable, CancellationToken cancellation)
    {
        Stopwatch clock = Stopwatch.StartNew();
        double first = 0;
        InputListing listing = await InputListing.OpenAsync(new InputOptions { Paths = [inputs], OutputFolder = output }, cancellation)
            .ConfigureAwait(false);
        using var refiner = new PassThroughRefiner(batch: 8);
        using RefineJob job = RefineJob.Open([refiner], new RefineJobOptions
        {
            OutputFolder = output,
            Durable = durable,
            Pipeline = new RefinePipelineOptions { CodecThreads = threads },
        });
        await foreach (ManifestEntry entry in job.RunAsync(listing.ListAsync(cancellation), cancellation).ConfigureAwait(false))
        {
            first = first == 0 ? clock.Elapsed.TotalSeconds : first;
        }

        return (clock.Elapsed.TotalSeconds, first);
    }

    private static double Median(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return sorted[sorted.Length / 2];
    }

    private static double Round(double value) => Math.Round(value, 3);

    private static Option<int> Positive(string name, string description, int value) => CommonOptions.Positive(new Option<int>(name)
    {
        Description = description,
        HelpName = "N",
        DefaultValueFactory = _ => value,
    });
}
