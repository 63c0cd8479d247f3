using System.Formats.Tar;
using System.Text.Json;
using Stig.Cli.Commands;
using Stig.Model.Imaging;
using Stig.Model.Refinement;

namespace Stig.Cli.Tests;

/// <summary>What is said of a job while it runs and at its end, above all of tar files.</summary>
public sealed class JobReportTests(Workspace workspace)
{
    private static readonly Dictionary<RefineCause, long> NoCauses = [];

    private readonly string folder = workspace.NewFolder();

    private string In => Path.Combine(folder, "in");

    private string Out => Path.Combine(folder, "out");

    // 2 of 8 inputs were there; 3 more took 30 s, so the other 3 take 30 s.
    [Theory]
    [InlineData(true, "5/8 tar files", "Refined 60 images of 3 tar files into out in 30 s. 2 tar files were there already.")]
    [InlineData(false, "5/8 images", "Refined 60 of 5 images into out in 30 s. 2 were there already.")]
    public void Inputs_give_per_cent_and_time_left_and_images_the_rate(bool tar, string status, string summary)
    {
        using StringWriter output = new();
        var progress = new RefineJobProgress(5, 60, 2, 0, 0, 0, NoCauses, new PipelineLoad(30, 0, 0, 0, 0));
        var report = new JobReport(new Terminal(output, output), progress, total: 8, foreign: 0, tar);

        report.WriteJson("progress");

        JsonElement json = JsonDocument.Parse(output.ToString()).RootElement;
        Assert.Equal((5, 8, 60), (Number(json, "done"), Number(json, "total"), Number(json, "refined")));
        Assert.Equal((2.0, 30.0), (json.GetProperty("images_per_second").GetDouble(), json.GetProperty("seconds_left").GetDouble()));
        Assert.Equal(0.625, report.Fraction);
        Assert.StartsWith(status, report.Status, StringComparison.Ordinal);
        Assert.Equal(summary, report.Outcome("out"));
    }

    [Fact]
    public void Tar_files_are_counted_as_inputs_and_images_as_refined()
    {
        WriteTar("0.tar", images: 3);
        WriteTar("1.tar", images: 4);
        WriteTar("2.tar", images: 0);

        CliRun run = Run("--progress", "json");

        Assert.Equal(ExitCode.Success, run.Code);
        JsonElement json = JsonDocument.Parse(run.Output).RootElement;
        Assert.Equal((3, 7, 0), (Number(json, "done"), Number(json, "refined"), Number(json, "failed")));
        CliRun again = Run();
        Assert.Equal(ExitCode.NothingToDo, again.Code);
        Assert.Contains("3 tar files were there already.", again.Output, StringComparison.Ordinal);
        Assert.Contains("Would refine 0 tar files", Run("--dry-run").Output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_tar_file_without_images_is_a_success()
    {
        WriteTar("0.tar", images: 0);

        Assert.Equal(ExitCode.Success, Run().Code);
        Assert.True(File.Exists(Path.Combine(Out, "0.tar")));
    }

    // The window is smaller than the tar file, so that it cannot be done: neither when the run is interrupted at its first image, nor when it
    // ends by an error there. What the next run does again does not count.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Images_of_a_tar_file_that_is_not_done_do_not_count(bool interrupted)
    {
        WriteTar("0.tar", images: 12);
        using CancellationTokenSource source = new();
        using StringWriter output = new(), error = new();
        using var refiner = new Hook(image =>
        {
            if (image == 3)
            {
                source.Cancel();
                _ = interrupted ? 0 : throw new IOException("the end");
            }
        });
        var terminal = new Terminal(output, error);
        int Go() => RefineCommand.Run(terminal, [refiner], Listing(), Options(window: 4), ProgressKind.None, summary: true, source.Token);

        if (interrupted)
        {
            Assert.Equal(ExitCode.Interrupted, Go());
            Assert.Contains("interrupted after 0 tar files; the same command goes on from here", error.ToString(), StringComparison.Ordinal);
        }
        else
        {
            Assert.Throws<IOException>(() => Go());
        }

        Assert.StartsWith("Refined 0 images of 0 tar files", output.ToString(), StringComparison.Ordinal);
        Assert.Equal(["manifest.jsonl"], Directory.GetFiles(Out).Select(Path.GetFileName));
        Assert.Empty(File.ReadAllText(Path.Combine(Out, "manifest.jsonl")));
    }

    // The consumer waits at an input that fails until the whole tar file has gone by, and then changes it: all of it is dealt with at a time.
    [Fact]
    public async Task A_tar_file_that_changes_is_one_input_and_one_failure()
    {
        string tar = WriteTar("0.tar", images: 0);
        TaskCompletionSource listed = new(TaskCreationOptions.RunContinuationsAsynchronously);
        async IAsyncEnumerable<InputFile> Inputs()
        {
            await Task.Yield();
            yield return new InputFile("a.tar", "a.tar", "a.tar") { Problem = new RefineItemException(RefineCause.Unreadable, "a.tar: no.") };
            yield return new InputFile(tar, "0.tar", "0.tar");
            listed.SetResult();
        }

        using var refiner = new PassThroughRefiner();
        using RefineJob job = RefineJob.Open([refiner], Options(window: 16));
        List<string> failed = [];
        await foreach (ManifestEntry entry in job.RunAsync(Inputs()))
        {
            if (failed.Count == 0)
            {
                await listed.Task;
                File.SetLastWriteTimeUtc(tar, DateTime.UnixEpoch);
            }

            failed.Add(entry.Input);
        }

        Assert.Equal(["a.tar", "0.tar"], failed);
        Assert.Equal((2, 0, 2), (job.Progress.Done, job.Progress.Refined, job.Progress.Failed));
    }

    [Fact]
    public async Task Inputs_listed_twice_are_counted_once()
    {
        string image = Path.Combine(In, "a.png"), list = Path.Combine(folder, "list");
        ImageCodec.Save(image, SyntheticImages.GanLike(3, 0, Workspace.Size));
        ImageCodec.Save(Path.Combine(In, "b.png"), SyntheticImages.GanLike(3, 1, Workspace.Size));
        File.WriteAllLines(list, [image, image, image]);

        InputListing names = await InputListing.OpenAsync(new InputOptions { ListFile = list, OutputFolder = Out }, CancellationToken.None);
        Assert.Equal(1, await names.CountAsync(Shard.Whole));
        InputListing folders = await InputListing.OpenAsync(new InputOptions { Paths = [In, image], OutputFolder = Out }, CancellationToken.None);
        Assert.Equal(2, await folders.CountAsync(Shard.Whole));
    }

    // Four times that many images, and the threads on top, pass what an int holds.
    [Fact]
    public async Task A_pipeline_takes_any_batch()
    {
        ImageCodec.Save(Path.Combine(In, "a.png"), SyntheticImages.GanLike(3, 0, Workspace.Size));
        foreach (int batch in (int[])[int.MaxValue, 1_000_000_000, 600_000_000])
        {
            var pipeline = new RefinePipeline([new PassThroughRefiner(batch)], new RefinePipelineOptions { CodecThreads = 1 });
            byte[] image = File.ReadAllBytes(Path.Combine(In, "a.png"));
            async Task<int> CountAsync()
            {
                int count = 0;
                await foreach (RefineOutcome outcome in pipeline.RunAsync(Items()))
                {
                    count += outcome.Status == RefineStatus.Refined ? 1 : 0;
                }

                return count;
            }

            async IAsyncEnumerable<RefineItem> Items()
            {
                await Task.Yield();
                yield return new RefineItem("a", "a.png") { Read = () => image };
            }

            Assert.Equal(1, await Task.Run(CountAsync).WaitAsync(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken));
        }
    }

    private static int Number(JsonElement json, string name) => json.GetProperty(name).GetInt32();

    private RefineJobOptions Options(int window) => new()
    {
        OutputFolder = Out,
        Tar = true,
        Pipeline = new RefinePipelineOptions { CodecThreads = 1, Window = window },
    };

    private InputListing Listing() =>
        InputListing.OpenAsync(new InputOptions { Paths = [In], Tar = true, OutputFolder = Out }).GetAwaiter().GetResult();

    private CliRun Run(params string[] options) => CliRun.Of(["refine", "--model", workspace.FilterModel, "--out", Out, "--tar", .. options, In]);

    private string WriteTar(string name, int images)
    {
        string path = Path.Combine(In, name);
        Directory.CreateDirectory(In);
        using var writer = new TarWriter(File.Create(path));
        writer.WriteEntry(new PaxTarEntry(TarEntryType.RegularFile, "notes.txt") { DataStream = new MemoryStream("text"u8.ToArray()) });
        for (int i = 0; i < images; i++)
        {
            byte[] image = ImageCodec.Encode(SyntheticImages.GanLike(3, i, Workspace.Size), ImageFormat.Png).Bytes;
            writer.WriteEntry(new PaxTarEntry(TarEntryType.RegularFile, $"{i}.png") { DataStream = new MemoryStream(image) });
        }

        return path;
    }

    // Gives images back as they are, one at a time; tells of each before.
    private sealed class Hook(Action<int> before) : IImageRefiner
    {
        private int seen;

        public string Device => "test";

        public string ModelId => "1111111111111111";

        public string Options => "test=yes";

        public int Batch => 1;

        public string? Remark(int width, int height) => null;

        public void Refine(ReadOnlySpan<byte[]> images, Span<LaneReport> lanes, int height, int width)
        {
            before(seen++);
            lanes.Fill(new LaneReport(LaneFault.None, "test", false));
        }

        public void Dispose()
        {
        }
    }
}
