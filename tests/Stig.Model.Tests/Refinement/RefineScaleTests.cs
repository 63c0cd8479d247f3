using System.Diagnostics;
using System.Globalization;
using Stig.Model.Refinement;
using Stig.Tests;

namespace Stig.Model.Tests.Refinement;

/// <summary>Alone, because what other tests use of memory and time would count.</summary>
[CollectionDefinition(nameof(RefineScaleTests), DisableParallelization = true)]
[Collection(nameof(RefineScaleTests))]
public sealed class RefineScaleTests : IDisposable
{
    private const int Listed = 1_000_000;

    private readonly BatchWorkspace workspace = new();

    public void Dispose() => workspace.Dispose();

    // A million names lead to a thousand small files through links to their folder; the model gives images back as they are. Bounds are
    // those promised: first output within 3 seconds (of processor time, which other programs on the machine do not add to), 400 MB
    // resident, and no growth: the first tenth, where buffers and pools fill, is left out, and the rest may add 64 MB, which the
    // collector's own ups and downs stay below: in the long form 64 bytes an input.
    [Fact]
    [Trait(Soak.Category, Soak.LongForm)]
    public async Task A_million_listed_inputs_start_at_once_and_take_bounded_memory()
    {
        int refine = Soak.Scale(12_000, Listed);
        for (int i = 0; i < 1000; i++)
        {
            workspace.Write($"images/{i:D3}.png", BatchWorkspace.Png(i, 8, 8));
        }

        string list = workspace["list"];
        await using (StreamWriter writer = new(list))
        {
            for (int link = 0; link < Listed / 1000; link++)
            {
                string name = workspace[$"in/{link:D4}"];
                Directory.CreateSymbolicLink(name, workspace["in/images"]);
                for (int i = 0; i < 1000; i++)
                {
                    await writer.WriteLineAsync(string.Create(CultureInfo.InvariantCulture, $"{name}/{i:D3}.png"));
                }
            }
        }

        using var enough = new CancellationTokenSource();
        using PassThroughRefiner refiner = new(16);
        RefineJobOptions options = new() { OutputFolder = workspace.Out, Pipeline = new RefinePipelineOptions { CodecThreads = 2 } };
        long before = Resident(), early = 0, most = 0;
        Stopwatch clock = Stopwatch.StartNew();
        using var process = Process.GetCurrentProcess();
        double start = process.TotalProcessorTime.TotalSeconds, first = 0, wall = 0;
        InputListing listing = await InputListing.OpenAsync(new InputOptions { ListFile = list, OutputFolder = workspace.Out }, CancellationToken.None);
        using RefineJob job = RefineJob.Open([refiner], options);
        int done = 0;
        await foreach (ManifestEntry entry in job.RunAsync(listing.ListAsync(CancellationToken.None), enough.Token))
        {
            if (done++ == 0)
            {
                process.Refresh();
                (first, wall) = (process.TotalProcessorTime.TotalSeconds - start, clock.Elapsed.TotalSeconds);
            }

            if (done % 500 == 0)
            {
                long now = Resident();
                most = Math.Max(most, now);
                early = done <= refine / 10 ? Math.Max(early, now) : early;
            }

            if (done == refine && refine < Listed)
            {
                await enough.CancelAsync();
            }
        }

        Soak.Report($"{done} of {Listed} in {clock.Elapsed.TotalSeconds:F0} s, first after {wall:F2} s, {first:F2} s of processor time; resident {before >> 20} MB before, {early >> 20} MB early, {most >> 20} MB at most");
        Assert.InRange(done, refine, refine + 1000);
        Assert.Equal(0, job.Progress.Failed);
        Assert.True(first < 3, $"the first output came after {first:F1} s");
        Assert.True(most - before < 400L << 20, $"{(most - before) >> 20} MB beside the test's own");
        Assert.True(most - early < 64L << 20, $"{early >> 20} MB grew to {most >> 20} MB");
    }

    // Values of another implementation (libxxhash 0.8.1): manifests written elsewhere, or by another version, are to be understood.
    [Theory]
    [InlineData(0, "2d06800538d394c2")]
    [InlineData(3, "cb1283631cf33d7d")]
    [InlineData(32, "3e44d4876f2e5815")]
    [InlineData(220, "c6c360a4784fda4b")]
    [InlineData(1320, "785bb01119b3566c")]
    public void Contents_are_told_apart_by_XXH3(int length, string hash)
    {
        string text = string.Concat(Enumerable.Repeat("the quick brown fox jumps over the lazy dog ", 30));
        Assert.Equal(hash, ContentHash.Of(System.Text.Encoding.ASCII.GetBytes(text[..length])));
    }

    // 30 bytes a line: the index of a manifest that is resumed from.
    [Fact]
    public void An_index_of_a_manifest_holds_no_lines_and_finds_the_last_one()
    {
        int lines = Soak.Scale(50_000, Listed);
        string path = workspace["manifest.jsonl"];
        ManifestEntry Entry(int i, int round) => new()
        {
            Input = $"{i}.png",
            Output = $"{i}.png",
            Status = RefineStatus.Refined,
            OutputBytes = round,
            Model = new string('1', 16),
            Options = new string('x', 100),
            Time = DateTime.UnixEpoch.AddSeconds(round),
        };
        using (ManifestWriter writer = new(path))
        {
            for (int i = 0; i < lines; i++)
            {
                writer.Add(Entry(i, 1));
            }

            writer.Add(Entry(7, 2));
        }

        File.AppendAllText(path, "{\"input\":\"9.png\",\"outp");
        long before = GC.GetTotalMemory(forceFullCollection: true);
        using ManifestIndex index = ManifestIndex.Of([path], Shard.Whole);
        long held = GC.GetTotalMemory(forceFullCollection: true) - before;

        Assert.Equal((lines, (path, 1)), (index.Count, Assert.Single(index.Unreadable)));
        Assert.Equal(2, index.Find("7.png")!.OutputBytes);
        Assert.Equal(1, index.Find("9.png")!.OutputBytes);
        Assert.Null(index.Find("no.png"));

        // A dictionary grows to the next prime beyond twice its size.
        Assert.InRange(held, 0, (2.5 * 30 * lines) + 500_000);
    }

    // Alone in the process, so that its calls can be counted; the folder's lock and the renaming need some. A line a call would be lines.
    [Fact]
    public async Task Merging_writes_many_lines_at_a_time()
    {
        const string counters = "/proc/self/io";
        const int lines = 500;
        Assert.SkipUnless(File.Exists(counters), "There is no /proc.");
        Directory.CreateDirectory(workspace.Out);
        for (int i = 0; i < lines; i++)
        {
            workspace.Write($"{i}.png", [1]);
        }

        using (ManifestWriter writer = new(Path.Combine(workspace.Out, "manifest.jsonl")))
        {
            for (int i = 0; i < lines; i++)
            {
                File.WriteAllBytes(Path.Combine(workspace.Out, $"{i}.png"), [1]);
                writer.Add(new ManifestEntry
                {
                    Input = $"{i}.png",
                    Output = $"{i}.png",
                    Status = RefineStatus.Refined,
                    OutputBytes = 1,
                    Model = "1",
                    Options = "x",
                    Time = DateTime.UtcNow,
                });
            }
        }

        InputListing listing = await InputListing.OpenAsync(workspace.Inputs(workspace.Out));
        long Writes() => long.Parse(
            File.ReadLines(counters).Single(line => line.StartsWith("syscw:", StringComparison.Ordinal))[6..], CultureInfo.InvariantCulture);
        long before = Writes();
        ManifestMergeResult result = await ManifestMerge.RunAsync(workspace.Out, listing.ListAsync(), problem => Assert.Fail(problem));
        Assert.Equal((lines, 0), (result.Inputs, result.Problems));
        Assert.InRange(Writes() - before, 1, lines / 4);
    }

    private static long Resident()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Resident memory is read from /proc.");
        string line = File.ReadLines("/proc/self/status").First(text => text.StartsWith("VmRSS:", StringComparison.Ordinal));
        return 1024 * long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture);
    }
}
