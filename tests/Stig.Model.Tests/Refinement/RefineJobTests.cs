using System.Diagnostics;
using System.Runtime.InteropServices;
using Stig.Model.Checkpoints;
using Stig.Model.Imaging;
using Stig.Model.Refinement;
using Stig.Model.Tests.Imaging;
using Stig.Tests;

namespace Stig.Model.Tests.Refinement;

[Collection(OneDeviceTestAtATime.Name)]
public sealed class RefineJobTests : IDisposable
{
    private readonly BatchWorkspace workspace = new();

    private string Out => workspace.Out;

    public void Dispose() => workspace.Dispose();

    // Sizes alternate, so groups stay incomplete; one byte of memory forces every image through alone. The oracle is the refiner itself, an
    // image at a time, and exact: results do not depend on what is computed together.
    [Theory]
    [InlineData(1, 1, 1L, 0)]
    [InlineData(4, 1, 1L, 0)]
    [InlineData(4, 3, 20_000L, 0)]
    [InlineData(4, 3, 256L << 20, 3)]
    [InlineData(100, 2, 256L << 20, 0)]
    public async Task Every_image_comes_out_whatever_batch_memory_threads_and_window(int batch, int threads, long memory, int window)
    {
        workspace.WriteInputs(25);
        using Refiner refiner = Refiner.Load(workspace.Model, new RefinerOptions { Batch = batch });
        (List<ManifestEntry> entries, RefineJobProgress progress) = await workspace.RunAsync([refiner], new RefineJobOptions
        {
            OutputFolder = Out,
            Pipeline = new RefinePipelineOptions { CodecThreads = threads, MemoryBytes = memory, Window = window },
        });

        Assert.Equal((25, 0, 0), (progress.Refined, progress.Skipped, progress.Failed));
        Assert.Equal(25, entries.Select(entry => entry.Output).Distinct().Count());
        Assert.Equal(25, BatchWorkspace.Tree(Out).Count);
        Assert.All(entries, entry =>
        {
            RgbImage image = ImageCodec.Load(Path.Combine(workspace.In, entry.Input));
            Assert.Equal(refiner.Refine(image).Pixels, ImageCodec.Load(Path.Combine(Out, entry.Output)).Pixels);
            Assert.Equal((image.Width, image.Height, refiner.ModelId), (entry.Width, entry.Height, entry.Model));
            Assert.Equal(new FileInfo(Path.Combine(Out, entry.Output)).Length, entry.OutputBytes);
        });
    }

    [Fact]
    public async Task Shards_and_interrupted_runs_give_the_bytes_of_one_run()
    {
        workspace.WriteInputs(30);
        using Refiner one = Refiner.Load(workspace.Model, new RefinerOptions { Batch = 3 }), two = Refiner.Load(workspace.Model);
        string whole = workspace["whole"], sharded = workspace["sharded"], resumed = workspace["resumed"];
        await workspace.RunAsync([one], new RefineJobOptions { OutputFolder = whole });
        long refined = 0;
        for (int i = 0; i < 3; i++)
        {
            refined += (await workspace.RunAsync([two, one], new RefineJobOptions { OutputFolder = sharded, Shard = new Shard(i, 3) })).Progress.Refined;
        }

        int runs = 0;
        for (bool done = false; !done; runs++)
        {
            using var source = new CancellationTokenSource();
            int seen = 0;
            var options = new RefineJobOptions { OutputFolder = resumed, Pipeline = new RefinePipelineOptions { CodecThreads = 2, Window = 2 } };
            (_, RefineJobProgress progress) = await workspace.RunAsync([two], options, seen: entry =>
            {
                seen += entry.Status == RefineStatus.Refined ? 1 : 0;
                if (seen == 4)
                {
                    source.Cancel();
                }
            }, drain: source.Token);
            done = progress is { Refined: 0, Skipped: 30 };
        }

        Assert.Equal(30, refined);
        Assert.InRange(runs, 3, 9);
        Assert.Equal(BatchWorkspace.Tree(whole), BatchWorkspace.Tree(sharded));
        Assert.Equal(BatchWorkspace.Tree(whole), BatchWorkspace.Tree(resumed));
    }

    [Fact]
    public async Task Only_what_was_made_with_the_same_model_options_and_input_is_skipped()
    {
        string[] inputs = [.. Enumerable.Range(0, 6).Select(i => workspace.Write($"{i}.png", BatchWorkspace.Png(i)))];
        RefineJobOptions options = new() { OutputFolder = Out };

        // Without compression, so that the changed image has the same size.
        byte[] Stored(byte value) => ImageCodec.Encode(
            new RgbImage(8, 8, [.. Enumerable.Repeat(value, 192)]), ImageFormat.Png, new EncodeOptions { PngLevel = 0 }).Bytes;
        File.WriteAllBytes(inputs[0], Stored(1));
        await workspace.RunAsync([new TestRefiner()], options);

        File.WriteAllBytes(inputs[0], Stored(2));
        File.SetLastWriteTimeUtc(inputs[0], DateTime.UtcNow.AddSeconds(10));
        File.SetLastWriteTimeUtc(inputs[1], new DateTime(2001, 2, 3, 4, 5, 6, DateTimeKind.Utc));
        File.Delete(Path.Combine(Out, "2.png"));
        File.AppendAllText(Path.Combine(Out, "3.png"), "x");
        (List<ManifestEntry> entries, RefineJobProgress progress) = await workspace.RunAsync([new TestRefiner()], options);
        Assert.Equal((3, 3, 0), (progress.Refined, progress.Skipped, progress.Failed));

        // 1.png has the same content under another time: it is read, and left alone by its hash.
        string[] again = [.. entries.Where(entry => entry.Status == RefineStatus.Refined).Select(entry => entry.Input).Order()];
        Assert.Equal(["0.png", "2.png", "3.png"], again);
        Assert.Equal(6, (await workspace.RunAsync([new TestRefiner { ModelId = "2222222222222222" }], options)).Progress.Refined);
        Assert.Equal(6, (await workspace.RunAsync([new TestRefiner { ModelId = "2222222222222222" }], options)).Progress.Skipped);
        RefineJobOptions stampless = options with { Pipeline = new RefinePipelineOptions { Codec = new RefineCodec { Stamp = false } } };
        Assert.Equal(6, (await workspace.RunAsync([new TestRefiner()], stampless)).Progress.Refined);
    }

    // That an output exists says nothing of how it was made: a run that was told to fail then leaves the way open to go on.
    [Fact]
    public async Task Refusing_what_exists_leaves_the_manifest_as_it_was()
    {
        workspace.WriteInputs(4);
        RefineJobOptions options = new() { OutputFolder = Out };
        await workspace.RunAsync([new TestRefiner()], options);
        Assert.Equal(4, (await workspace.RunAsync([new TestRefiner()], options with { Existing = ExistingOutputs.Fail })).Progress.Failed);
        Assert.Equal(4, (await workspace.RunAsync([new TestRefiner()], options)).Progress.Skipped);
        Assert.Equal((1, 4, 0), Counts(await MergeAsync()));
    }

    // Lines that no run writes, and one of a clock that ran ahead: each is passed over, and what the sound ones say holds.
    [Fact]
    public async Task Damage_in_a_manifest_costs_only_the_lines_it_hits()
    {
        workspace.WriteInputs(4);
        RefineJobOptions options = new() { OutputFolder = Out };
        await workspace.RunAsync([new TestRefiner()], options);
        string path = Path.Combine(Out, "manifest.jsonl");
        string[] sound = File.ReadAllLines(path);
        string ahead = sound[3].Replace("\"time\":\"20", "\"time\":\"29", StringComparison.Ordinal);
        Assert.NotEqual(sound[3], ahead);
        byte[][] lines =
        [
            [.. "{\"input\":\""u8, 0xFF, .. ".png\",\"output\":\"a\"}"u8], "{\"input\":\"\\ud800.png\",\"output\":\"a\"}"u8.ToArray(),
            "{\"input\":\"a\",\"output\":null}"u8.ToArray(), "{\"input\":\"b\",\"output\":\"a\\u0000b\",\"status\":\"refined\",\"model\":\"\",\"options\":\"\",\"time\":\"2020-01-01\"}"u8.ToArray(),
            "null"u8.ToArray(), "[]}"u8.ToArray(), new byte[3 << 20], System.Text.Encoding.UTF8.GetBytes(ahead.Replace("\"options\":\"", "\"options\":\"other ", StringComparison.Ordinal)),
        ];
        string sharded = Path.Combine(Out, "manifest-0-of-2.jsonl");
        File.WriteAllBytes(sharded, [.. lines.SelectMany(line => (byte[])[.. line, (byte)'\n'])]);
        List<string> warnings = [];

        RefineJobProgress progress = (await workspace.RunAsync([new TestRefiner()], options with { Warn = warnings.Add })).Progress;

        Assert.Equal((0, 4), (progress.Refined, progress.Skipped));
        Assert.Contains(warnings, line => line.Contains("manifest-0-of-2.jsonl: ", StringComparison.Ordinal));
        (ManifestMergeResult result, List<string> problems) = await MergeAsync();
        Assert.True(result.Problems == 0, string.Join('\n', problems));
    }

    // Folders among the inputs that have the names of the run's own files.
    [Fact]
    public async Task A_name_of_the_runs_own_files_costs_its_input()
    {
        string[] reserved = ["manifest.jsonl/a.png", "manifest-0-of-2.jsonl/b.png", ".stig/refine.lock/c.png"];
        foreach (string name in reserved.Concat(["manifest/d.png", "x/.stig/e.png"]))
        {
            workspace.Write(name, BatchWorkspace.Png(1));
        }

        (List<ManifestEntry> entries, RefineJobProgress progress) = await workspace.RunAsync([new TestRefiner()], new RefineJobOptions { OutputFolder = Out });
        Assert.Equal((2, 3), (progress.Refined, progress.Failed));
        Assert.Equal(reserved.Order(), entries.Where(entry => entry.Cause == RefineCause.Name).Select(entry => entry.Input).Order());
    }

    [Fact]
    public async Task A_manifest_that_cannot_be_opened_is_named()
    {
        workspace.WriteInputs(1);
        Directory.CreateDirectory(Path.Combine(Out, "manifest.jsonl"));
        string message = (await Assert.ThrowsAsync<IOException>(() => workspace.RunAsync([new TestRefiner()], new RefineJobOptions { OutputFolder = Out }))).Message;
        Assert.Matches(@"^The manifest .*manifest\.jsonl cannot be written: .*\. Check its permissions, or choose another output folder\.$", message);
    }

    // Options of other formats change nothing, and nothing is made again for them.
    [Fact]
    public void Manifests_record_the_options_that_change_outputs()
    {
        (OutputFormat Format, bool Lossless, bool Png, bool Quality, bool Webp)[] cases =
        [
            (OutputFormat.Png, true, true, false, false), (OutputFormat.Jpeg, true, false, true, false), (OutputFormat.Webp, true, false, false, true),
            (OutputFormat.Webp, false, false, true, true), (OutputFormat.Same, true, true, true, true),
        ];
        foreach ((OutputFormat format, bool lossless, bool png, bool quality, bool webp) in cases)
        {
            string Of(EncodeOptions encoding) => new RefineCodec { Format = format, Encoding = encoding with { WebpLossless = lossless } }.Description;
            string plain = Of(new EncodeOptions());
            Assert.Equal(png, plain != Of(new EncodeOptions { PngLevel = 5 }));
            Assert.Equal(png, plain != Of(new EncodeOptions { PngFilter = PngFilter.Sub }));
            Assert.Equal(quality, plain != Of(new EncodeOptions { Quality = 50 }));
            Assert.Equal(webp, plain != new RefineCodec { Format = format, Encoding = new EncodeOptions { WebpLossless = !lossless } }.Description);
            Assert.NotEqual(plain, Of(new EncodeOptions { Metadata = MetadataPolicy.None }));
        }
    }

    // The next run but one trusts the time, which the oracle shows by a content that it must not read: other bytes of the same length and time.
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public async Task The_new_time_of_an_input_is_recorded_once(int shards)
    {
        byte[] content = BatchWorkspace.Png(1);
        string path = workspace.Write("a.png", content);
        await workspace.RunAsync([new TestRefiner()], new RefineJobOptions { OutputFolder = Out });
        File.SetLastWriteTimeUtc(path, new DateTime(2001, 2, 3, 4, 5, 6, DateTimeKind.Utc));
        Shard shard = Enumerable.Range(0, shards).Select(i => new Shard(i, shards)).Single(shard => shard.Holds("a.png"));
        RefineJobOptions options = new() { OutputFolder = Out, Shard = shard };

        RefineJobProgress progress = (await workspace.RunAsync([new TestRefiner()], options)).Progress;

        Assert.Equal((0, 1), (progress.Refined, progress.Skipped));
        ManifestEntry[] lines = [.. OutputFolder.Manifests(Out).SelectMany(ManifestIndex.Read).OrderBy(entry => entry.Time)];
        Assert.Equal(2, lines.Length);
        Assert.Equal(lines[0] with { InputModified = File.GetLastWriteTimeUtc(path), Time = lines[1].Time }, lines[1]);
        content[^20] ^= 1;
        File.WriteAllBytes(path, content);
        File.SetLastWriteTimeUtc(path, new DateTime(2001, 2, 3, 4, 5, 6, DateTimeKind.Utc));
        Assert.Equal(1, (await workspace.RunAsync([new TestRefiner()], options)).Progress.Skipped);
        Assert.Equal(1, (await workspace.RunAsync([new TestRefiner()], options with { Shard = Shard.Whole })).Progress.Skipped);
    }

    // What one number of shards has done, another one and a whole run skip. The oracle is the count of inputs, each in one line.
    [Fact]
    public async Task A_job_begun_with_another_number_of_shards_goes_on_and_is_merged()
    {
        RefineJobOptions options = new() { OutputFolder = Out };
        void Add(int from)
        {
            for (int i = from; i < from + 8; i++)
            {
                workspace.Write($"{i:D2}.png", BatchWorkspace.Png(i));
            }
        }

        Add(0);
        await workspace.RunAsync([new TestRefiner()], options);
        Assert.Equal((1, 8, 0), Counts(await MergeAsync()));
        Add(8);
        await workspace.RunAsync([new TestRefiner()], options with { Shard = new Shard(0, 3) });
        Add(16);
        for (int i = 0; i < 2; i++)
        {
            await workspace.RunAsync([new TestRefiner()], options with { Shard = new Shard(i, 2) });
        }

        (ManifestMergeResult Result, List<string>) merged = await MergeAsync();

        Assert.Equal((4, 24, 0), Counts(merged));
        string[] lines = [.. ManifestIndex.Read(Path.Combine(Out, "manifest.jsonl")).Select(entry => entry.Input)];
        Assert.Equal(lines.Distinct().Order(StringComparer.Ordinal), lines);
        Assert.Equal(24, lines.Length);
        Assert.Equal(24, (await workspace.RunAsync([new TestRefiner()], options)).Progress.Skipped);
        Assert.Equal((4, 24, 0), Counts(await MergeAsync()));
    }

    [Fact]
    public async Task Outputs_that_no_manifest_vouches_for_are_made_again_as_merge_says()
    {
        workspace.WriteInputs(6);
        RefineJobOptions options = new() { OutputFolder = Out };
        await workspace.RunAsync([new TestRefiner()], options);
        File.Delete(Path.Combine(Out, "manifest.jsonl"));
        async Task RunShardsAsync(ExistingOutputs existing)
        {
            for (int i = 0; i < 2; i++)
            {
                await workspace.RunAsync([new TestRefiner()], options with { Existing = existing, Shard = new Shard(i, 2) });
            }
        }

        await RunShardsAsync(ExistingOutputs.Skip);
        (ManifestMergeResult Result, List<string> Problems) unknown = await MergeAsync();
        Assert.Equal((2, 6, 6), Counts(unknown));
        Assert.All(unknown.Problems, line => Assert.Contains("--existing resume", line, StringComparison.Ordinal));

        await RunShardsAsync(ExistingOutputs.Resume);
        Assert.Equal((2, 6, 0), Counts(await MergeAsync()));
    }

    // An input that failed and was removed, as its message says, leaves a line and no output; one that was refined leaves both. The folder's
    // name is that of a tar file, whose images have lines without an input of their own.
    [Fact]
    public async Task Merging_asks_about_outputs_without_an_input_and_not_about_failures()
    {
        string bad = workspace.Write("set.tar/bad.png", [1]), gone = workspace.Write("set.tar/gone.png", BatchWorkspace.Png(1));
        string renamed = workspace.Write("set.tar/c.png", BatchWorkspace.Png(2));
        await workspace.RunAsync([new TestRefiner()], new RefineJobOptions { OutputFolder = Out });
        File.Delete(bad);
        File.Delete(gone);
        File.Move(renamed, Path.ChangeExtension(renamed, ".jpg"));
        await workspace.RunAsync([new TestRefiner()], new RefineJobOptions { OutputFolder = Out });

        (ManifestMergeResult Result, List<string> Problems) merged = await MergeAsync();
        Assert.Equal((1, 1, 1), Counts(merged));
        Assert.StartsWith("set.tar/gone.png: ", merged.Problems[0], StringComparison.Ordinal);
        File.Delete(Path.Combine(Out, "set.tar/gone.png"));
        Assert.Equal((1, 1, 0), Counts(await MergeAsync()));
    }

    [Fact]
    public async Task Tar_files_of_a_whole_run_and_of_shards_are_merged_with_the_lines_of_their_images()
    {
        RefineJobOptions options = new() { OutputFolder = Out, Tar = true };
        for (int i = 0; i < 6; i++)
        {
            string tar = workspace.Write($"{i}.tar", []);
            TarShardsTests.WriteTar(tar, [("a.png", BatchWorkspace.Png(i)), ("b.png", BatchWorkspace.Png(i + 9))], DateTimeOffset.UnixEpoch);
            if (i == 2)
            {
                await workspace.RunAsync([new TestRefiner()], options);
            }
        }

        for (int i = 0; i < 2; i++)
        {
            await workspace.RunAsync([new TestRefiner()], options with { Shard = new Shard(i, 2) });
        }

        for (int again = 0; again < 2; again++)
        {
            Assert.Equal((3, 6, 0), Counts(await MergeAsync(tar: true)));
            ManifestEntry[] lines = [.. ManifestIndex.Read(Path.Combine(Out, "manifest.jsonl"))];
            Assert.Equal(Enumerable.Range(0, 6).Select(i => $"{i}.tar"), lines[..6].Select(entry => entry.Input));
            Assert.Equal(["0.tar/a.png", "0.tar/b.png", "1.tar/a.png", "1.tar/b.png", "2.tar/a.png", "2.tar/b.png"],
                lines[6..].Select(entry => entry.Input).Order(StringComparer.Ordinal));
            Assert.All(lines[6..], entry => Assert.True(entry.Member));
        }
    }

    [Fact]
    public async Task A_link_is_refined_as_what_it_leads_to_and_then_skipped()
    {
        string target = workspace["elsewhere.png"];
        File.WriteAllBytes(target, BatchWorkspace.Png(1));
        Directory.CreateDirectory(workspace.In);
        File.CreateSymbolicLink(Path.Combine(workspace.In, "link.png"), target);
        RefineJobOptions options = new() { OutputFolder = Out };

        Assert.Equal(1, (await workspace.RunAsync([new TestRefiner()], options)).Progress.Refined);
        Assert.Equal(1, (await workspace.RunAsync([new TestRefiner()], options)).Progress.Skipped);

        File.WriteAllBytes(target, BatchWorkspace.Png(2));
        Assert.Equal(1, (await workspace.RunAsync([new TestRefiner()], options)).Progress.Refined);
        Assert.Equal(ImageCodec.Load(target).Pixels, ImageCodec.Load(Path.Combine(Out, "link.png")).Pixels);
    }

    // Something writes the file all the time: what is read is refused, unless it happens to be left alone just then, and then it is whole.
    [Fact]
    public void An_input_that_changes_while_it_is_read_is_refused()
    {
        // Large, so that there is time to write while it is read; two readings in a row must be disturbed.
        byte[] content = new byte[16 << 20];
        string path = workspace.Write("busy.png", content);
        bool end = false;
        var writer = new Thread(() =>
        {
            for (int i = 0; !Volatile.Read(ref end); i++)
            {
                File.SetLastWriteTimeUtc(path, DateTime.UnixEpoch.AddSeconds(i));
            }
        });
        writer.Start();
        bool refused = false;
        Stopwatch clock = Stopwatch.StartNew();
        while (!refused && clock.Elapsed < TimeSpan.FromSeconds(30))
        {
            try
            {
                Assert.Equal(content.Length, InputReader.Read(path, 1 << 20).Content.Length);
            }
            catch (RefineItemException error)
            {
                Assert.Equal(RefineCause.Changed, error.Cause);
                Assert.Contains(path, error.Message, StringComparison.Ordinal);
                refused = true;
            }
        }

        Volatile.Write(ref end, true);
        writer.Join();
        Assert.True(refused);
    }

    [Fact]
    public async Task What_exists_is_skipped_made_again_or_refused_as_asked()
    {
        workspace.Write("a.png", BatchWorkspace.Png(1));
        workspace.Write("b.png", BatchWorkspace.Png(2));
        Directory.CreateDirectory(Out);
        File.WriteAllText(Path.Combine(Out, "a.png"), "here before");
        RefineJobOptions Options(ExistingOutputs existing) => new() { OutputFolder = Out, Existing = existing };

        (List<ManifestEntry> failing, RefineJobProgress failed) = await workspace.RunAsync([new TestRefiner()], Options(ExistingOutputs.Fail));
        Assert.Equal((1, 1), (failed.Refined, failed.Failed));
        Assert.Equal(RefineCause.Exists, failing.Single(entry => entry.Status == RefineStatus.Failed).Cause);
        Assert.Equal(2, (await workspace.RunAsync([new TestRefiner()], Options(ExistingOutputs.Skip))).Progress.Skipped);
        Assert.Equal("here before", File.ReadAllText(Path.Combine(Out, "a.png")));
        Assert.Equal(2, (await workspace.RunAsync([new TestRefiner()], Options(ExistingOutputs.Overwrite))).Progress.Refined);
        Assert.Equal(ImageCodec.Load(Path.Combine(workspace.In, "a.png")).Pixels, ImageCodec.Load(Path.Combine(Out, "a.png")).Pixels);
    }

    [Fact]
    public async Task Bad_files_are_named_once_and_cost_only_themselves()
    {
        byte[] good = BatchWorkspace.Png(5);
        string[] strange = ["new\nline.png", "quote\"'`$.png", "ünï.png", " spaces .png", "-dash.png"];
        foreach (string name in strange)
        {
            workspace.Write(name, good);
        }

        workspace.Write("folder.png/inner.png", good);
        workspace.Write("cut.png", good[..(good.Length / 2)]);
        workspace.Write("zero.jpg", []);
        workspace.Write("text.webp", "text, whatever its name says"u8.ToArray());
        workspace.Write("tiny.png", ImageCodec.Encode(new RgbImage(1, 1, [1, 2, 3]), ImageFormat.Png).Bytes);
        workspace.Write("notes.txt", good);
        byte[] bomb = [.. good];
        bomb[16] = 0x7F;
        workspace.Write("bomb.png", bomb);
        File.CreateSymbolicLink(Path.Combine(workspace.In, "dangling.png"), "nowhere.png");
        Directory.CreateSymbolicLink(Path.Combine(workspace.In, "loop"), workspace.In);
        string[] bad = ["bomb.png", "cut.png", "dangling.png", "text.webp", "tiny.png", "zero.jpg"];
        byte[]? unnamable = null;
        if (OperatingSystem.IsLinux())
        {
            // A pipe that nobody writes to, and a name that is not UTF-8.
            Assert.Equal(0, MakePipe(System.Text.Encoding.UTF8.GetBytes(Path.Combine(workspace.In, "pipe.png") + "\0"), 0x1A4));
            unnamable = [.. System.Text.Encoding.UTF8.GetBytes(workspace.In + "/latin-"), 0xE9, .. ".png\0"u8];
            int descriptor = Create(unnamable, 0x1A4);
            Assert.True(descriptor >= 0);
            Assert.Equal(0, Close(descriptor));
            bad = [.. bad, "pipe.png", "latin-\uFFFD.png"];
        }

        (List<ManifestEntry> entries, RefineJobProgress progress) = await workspace.RunAsync([new TestRefiner()], new RefineJobOptions { OutputFolder = Out });

        Assert.Equal(
            bad.Order(StringComparer.Ordinal),
            entries.Where(entry => entry.Status == RefineStatus.Failed).Select(entry => entry.Input).Order(StringComparer.Ordinal));
        Assert.All(entries.Where(entry => entry.Status == RefineStatus.Failed), entry => Assert.Contains(entry.Input, entry.Error!, StringComparison.Ordinal));
        Assert.Equal(
            strange.Append("folder.png/inner.png").Order(StringComparer.Ordinal), BatchWorkspace.Tree(Out).Keys);
        Assert.Equal(strange.Length + 1, progress.Refined);
        Assert.Equal(bad.Length, progress.Causes.Values.Sum());

        // The same name in a list.
        if (unnamable is not null)
        {
            string list = workspace["list"];
            File.WriteAllBytes(list, [.. System.Text.Encoding.UTF8.GetBytes($"{Path.Combine(workspace.In, strange[1])}\n"), .. unnamable[..^1], (byte)'\n']);
            string output = workspace["listed"];
            (List<ManifestEntry> listed, _) = await workspace.RunAsync(
                [new TestRefiner()], new RefineJobOptions { OutputFolder = output }, new InputOptions { ListFile = list, OutputFolder = output });
            Assert.Equal(2, listed.Count);
            ManifestEntry unread = Assert.Single(listed, entry => entry.Status == RefineStatus.Failed);
            Assert.Equal(RefineCause.Unreadable, unread.Cause);
            Assert.Contains("latin-\uFFFD.png: cannot be read: its name is not UTF-8", unread.Error, StringComparison.Ordinal);
        }

        // The folder could not be removed with that name in it.
        Assert.True(unnamable is null || Unlink(unnamable) == 0);

        // The manifest reads back, names with ends of lines included.
        Assert.Equal(entries.Select(entry => entry.Input), ManifestIndex.Read(Path.Combine(Out, "manifest.jsonl")).Select(entry => entry.Input));
    }

    // The limit at its default, and at its most, beyond which the message must not offer more of it. The files end with their headers.
    [Fact]
    public void An_image_of_too_many_pixels_is_refused_with_the_option_that_allows_more()
    {
        string Refused(RefineCodec codec, int width, int height) =>
            Assert.Throws<RefineItemException>(() => codec.Decode(TestPng.HeaderOnly(width, height), "large.png")).Message;
        Assert.Contains("more than the 67108864 that are read", Refused(new(), 8193, 8192), StringComparison.Ordinal);
        Assert.Contains("--max-pixels", Refused(new(), 8193, 8192), StringComparison.Ordinal);
        Assert.DoesNotContain("pixels", Refused(new() { MaxPixels = 1L << 27 }, 8193, 8192), StringComparison.Ordinal);
        string most = Refused(new() { MaxPixels = ImageCodec.MaxPixels }, 1 << 15, 1 << 14);
        Assert.Contains("more than the 268435456 that are read", most, StringComparison.Ordinal);
        Assert.DoesNotContain("--max-pixels", most, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_cancelled_run_writes_whole_images_and_begins_no_other()
    {
        workspace.WriteInputs(25);
        using var source = new CancellationTokenSource();
        using Refiner refiner = Refiner.Load(workspace.Model, new RefinerOptions { Batch = 1 });
        (_, RefineJobProgress progress) = await workspace.RunAsync(
            [refiner],
            new RefineJobOptions { OutputFolder = Out, Pipeline = new RefinePipelineOptions { CodecThreads = 1, MemoryBytes = 1 } },
            seen: _ => source.Cancel(), drain: source.Token);

        Assert.InRange(progress.Refined, 1, 24);
        string[] written = [.. BatchWorkspace.Tree(Out).Keys];
        Assert.Equal(progress.Refined, written.Length);
        Assert.All(written, name => ImageCodec.Load(Path.Combine(Out, name)));
    }

    // Known before the run, and taken by something else when the first images come to the device: none has been written then.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_name_that_is_taken_in_the_output_folder_costs_its_input(bool before)
    {
        workspace.WriteInputs(5);
        void Take(int image)
        {
            if (image == 0)
            {
                Directory.CreateDirectory(Path.Combine(Out, "3", "00003.png", "inner"));
                File.WriteAllText(Path.Combine(Out, "4"), "a file");
            }
        }

        if (before)
        {
            Take(0);
            Directory.CreateSymbolicLink(Path.Combine(Out, "2"), Directory.CreateDirectory(workspace["elsewhere"]).FullName);
        }

        (List<ManifestEntry> entries, RefineJobProgress progress) =
            await workspace.RunAsync([new TestRefiner(before ? null : Take)], new RefineJobOptions { OutputFolder = Out });

        string[] costs = [.. before ? ["2/00002.png"] : Array.Empty<string>(), "3/00003.png", "4/00004.png"];
        Assert.Equal((5 - costs.Length, costs.Length), (progress.Refined, progress.Failed));
        ManifestEntry[] failed =
            [.. entries.Where(entry => entry.Status == RefineStatus.Failed).OrderBy(entry => entry.Input, StringComparer.Ordinal)];
        Assert.Equal(costs, failed.Select(entry => entry.Input));
        Assert.All(failed, entry => Assert.Equal((RefineCause.Name, before), (entry.Cause, entry.Plan is null)));
        Assert.All(failed, entry => Assert.StartsWith(Path.Combine(workspace.In, entry.Input), entry.Error, StringComparison.Ordinal));
        Assert.DoesNotContain(BatchWorkspace.Tree(Out).Keys, name => name.Contains(".stig-", StringComparison.Ordinal));
        Assert.Equal("a file", File.ReadAllText(Path.Combine(Out, "4")));
    }

    // 4096 bytes are a path's most on Linux: the output folder leaves room for short names.
    [Fact]
    public async Task An_output_whose_path_is_too_long_costs_its_input()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Other systems have other limits.");
        workspace.Write("a.png", BatchWorkspace.Png(1));
        workspace.Write($"{new string('b', 200)}.png", BatchWorkspace.Png(2));
        string output = Out;
        while (output.Length < 3950)
        {
            output = Path.Combine(output, new string('o', Math.Min(200, 3999 - output.Length)));
        }

        (List<ManifestEntry> entries, RefineJobProgress progress) =
            await workspace.RunAsync([new TestRefiner()], new RefineJobOptions { OutputFolder = output });

        Assert.Equal((1, 1), (progress.Refined, progress.Failed));
        Assert.Equal(RefineCause.Name, entries.Single(entry => entry.Input[0] == 'b').Cause);
    }

    // Each job is given a file that a plain reading of names would replace. The oracle is that file, and the count of those that are done.
    [Theory]
    [InlineData("a link to the folder of the file", 0)]
    [InlineData("a folder in the output folder beside another", 1)]
    [InlineData("a file in the output folder beside a folder", 1)]
    [InlineData("a link to a folder in the output folder", 0)]
    [InlineData("a link to a file in the output folder", 0)]
    [InlineData("a link in the output folder", 1)]
    [InlineData("a list", 0)]
    public async Task No_output_replaces_an_input(string how, int refined)
    {
        string inner = Path.Combine(Out, "sub");
        Directory.CreateDirectory(inner);
        string a = workspace.Write("sub/a.png", BatchWorkspace.Png(1)), kept = Path.Combine(inner, "a.png");
        byte[] content = BatchWorkspace.Png(2);
        File.WriteAllBytes(kept, content);
        InputOptions inputs = workspace.Inputs(Out);
        switch (how)
        {
            case "a link to the folder of the file":
                inputs = inputs with { Paths = [kept], OutputFolder = workspace["link"] };
                Directory.CreateSymbolicLink(inputs.OutputFolder, inner);
                break;
            case "a folder in the output folder beside another":
                inputs = inputs with { Paths = [workspace.In, inner] };
                break;
            case "a file in the output folder beside a folder":
                inputs = inputs with { Paths = [workspace.In, kept] };
                break;
            case "a link to a folder in the output folder":
                Directory.Delete(Path.GetDirectoryName(a)!, recursive: true);
                Directory.CreateSymbolicLink(Path.Combine(workspace.In, "sub"), inner);
                break;
            case "a link to a file in the output folder":
                File.CreateSymbolicLink(Path.Combine(workspace.In, "lead.png"), kept);
                break;
            case "a link in the output folder":
                Directory.Delete(inner, recursive: true);
                kept = workspace["other/a.png"];
                Directory.CreateDirectory(Path.GetDirectoryName(kept)!);
                File.WriteAllBytes(kept, content);
                Directory.CreateSymbolicLink(inner, Path.GetDirectoryName(kept)!);
                inputs = inputs with { Paths = [workspace.In, Path.GetDirectoryName(kept)!] };
                break;
            default:
                kept = Path.Combine(Out, a[1..]);
                Directory.CreateDirectory(Path.GetDirectoryName(kept)!);
                File.WriteAllBytes(kept, content);
                inputs = inputs with { Paths = [], ListFile = workspace["list"] };
                File.WriteAllLines(inputs.ListFile, [a, kept]);
                break;
        }

        RefineJobProgress? progress = null;
        try
        {
            progress = (await workspace.RunAsync([new TestRefiner()], new RefineJobOptions { OutputFolder = inputs.OutputFolder }, inputs)).Progress;
        }
        catch (ImageDataException error)
        {
            Assert.Contains("Choose another output folder", error.Message, StringComparison.Ordinal);
        }

        Assert.Equal(content, File.ReadAllBytes(kept));
        Assert.Equal(refined, progress?.Refined ?? 0);
    }

    [Fact]
    public async Task An_output_folder_that_is_removed_ends_the_run()
    {
        workspace.WriteInputs(40);
        int removed = 0;
        TestRefiner refiner = new(image =>
        {
            if (image == 12)
            {
                Directory.Move(Out, workspace["moved"]);
                removed++;
            }
        });

        IOException error = await Assert.ThrowsAnyAsync<IOException>(() => workspace.RunAsync(
            [refiner], new RefineJobOptions { OutputFolder = Out, Pipeline = new RefinePipelineOptions { Window = 4, CodecThreads = 1 } }));

        Assert.Equal(1, removed);
        Assert.Contains("gone", error.Message, StringComparison.Ordinal);
        Assert.False(Directory.Exists(Out));
    }

    [Fact]
    public async Task An_input_that_changes_after_it_was_read_is_refined_again_by_the_next_run()
    {
        string path = workspace.Write("a.png", BatchWorkspace.Png(1));
        byte[] later = BatchWorkspace.Png(2);
        TestRefiner refiner = new(_ => File.WriteAllBytes(path, later));
        await workspace.RunAsync([refiner], new RefineJobOptions { OutputFolder = Out });
        Assert.NotEqual(ImageCodec.Load(path).Pixels, ImageCodec.Load(Path.Combine(Out, "a.png")).Pixels);

        Assert.Equal(1, (await workspace.RunAsync([new TestRefiner()], new RefineJobOptions { OutputFolder = Out })).Progress.Refined);

        Assert.Equal(ImageCodec.Load(path).Pixels, ImageCodec.Load(Path.Combine(Out, "a.png")).Pixels);
    }

    [Fact]
    public async Task One_run_at_a_time_holds_a_folder_but_shards_share_it()
    {
        workspace.WriteInputs(3);
        RefineJobOptions Options(Shard shard) => new() { OutputFolder = Out, Shard = shard };
        using (RefineJob.Open([new TestRefiner()], Options(Shard.Whole)))
        {
            foreach (Shard shard in (Shard[])[Shard.Whole, new Shard(1, 2)])
            {
                IOException error = Assert.ThrowsAny<IOException>(() => RefineJob.Open([new TestRefiner()], Options(shard)));
                Assert.Contains($"process {Environment.ProcessId} on {Environment.MachineName}", error.Message, StringComparison.Ordinal);
                Assert.Contains(" s ago)", error.Message, StringComparison.Ordinal);
                Assert.Contains(Out, error.Message, StringComparison.Ordinal);
            }
        }

        using (RefineJob.Open([new TestRefiner()], Options(new Shard(1, 2))))
        using (RefineJob.Open([new TestRefiner()], Options(new Shard(0, 2))))
        {
            Assert.ThrowsAny<IOException>(() => RefineJob.Open([new TestRefiner()], Options(new Shard(1, 2))));
            Assert.ThrowsAny<IOException>(() => RefineJob.Open([new TestRefiner()], Options(Shard.Whole)));
        }

        Assert.Equal(3, (await workspace.RunAsync([new TestRefiner()], Options(Shard.Whole))).Progress.Refined);
        Assert.Empty(Directory.GetFiles(Path.Combine(Out, ".stig"), "*.holder"));
    }

    [Fact]
    public async Task What_a_killed_run_left_is_swept_and_its_last_line_passed_over()
    {
        workspace.WriteInputs(8);
        RefineJobOptions options = new() { OutputFolder = Out };
        await workspace.RunAsync([new TestRefiner()], options);
        string manifest = Path.Combine(Out, "manifest.jsonl");
        string[] lines = File.ReadAllLines(manifest);
        SortedDictionary<string, string> tree = BatchWorkspace.Tree(Out);

        // As after a kill: a note of the owner, a temporary file, and a line cut short.
        File.WriteAllText(Path.Combine(Out, ".stig", "refine.holder"), "process 1 on x");
        File.WriteAllText(Path.Combine(Out, "2", ".stig-all-00000000-1.tmp"), "half");
        File.WriteAllText(manifest, string.Join('\n', lines[..^1]) + "\n" + lines[^1][..40]);
        RefineJobProgress progress = (await workspace.RunAsync([new TestRefiner()], options)).Progress;

        Assert.Equal((1, 7), (progress.Refined, progress.Skipped));
        Assert.Equal(tree, BatchWorkspace.Tree(Out));
        Assert.Equal(8, ManifestIndex.Read(manifest).Count());
        Assert.Equal(8, (await workspace.RunAsync([new TestRefiner()], options)).Progress.Skipped);
    }

    // A path of more than 4096 bytes, made from within its folder, cannot be removed by its name.
    [Fact]
    public async Task What_cannot_be_swept_is_a_warning()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Other systems have other limits.");
        workspace.WriteInputs(1);
        await workspace.RunAsync([new TestRefiner()], new RefineJobOptions { OutputFolder = Out });
        string deep = Out;
        while (deep.Length < 4075)
        {
            deep = Path.Combine(deep, new string('d', Math.Clamp(4079 - deep.Length, 1, 200)));
        }

        // Deeper, so that it is met later: that one be left does not keep others.
        string deeper = Path.Combine(Directory.CreateDirectory(Path.Combine([Out, .. Enumerable.Repeat("s", 60)])).FullName, ".stig-all-00000000-2.tmp");
        File.WriteAllText(deeper, "half");
        Directory.CreateDirectory(deep);
        void Within(string command) => Assert.Equal(0, Shell($"cd '{deep}' && {command}"));
        Within("touch .stig-all-00000000-1.tmp");
        try
        {
            File.WriteAllText(Path.Combine(Out, ".stig", "refine.holder"), "process 1 on x");
            List<string> warnings = [];
            RefineJobOptions options = new() { OutputFolder = Out, Warn = warnings.Add };

            Assert.Equal(1, (await workspace.RunAsync([new TestRefiner()], options)).Progress.Skipped);
            Assert.Contains(Out, Assert.Single(warnings), StringComparison.Ordinal);
            Assert.False(File.Exists(deeper));
        }
        finally
        {
            Within("rm .stig-all-00000000-1.tmp");
        }
    }

    [Fact]
    public async Task Damaged_lines_of_a_manifest_are_told_of_to_whom_they_concern()
    {
        workspace.WriteInputs(4);
        List<string> warnings = [];
        RefineJobOptions options = new() { OutputFolder = Out, Warn = warnings.Add };
        await workspace.RunAsync([new TestRefiner()], options with { Shard = new Shard(0, 2) });
        await workspace.RunAsync([new TestRefiner()], options with { Shard = new Shard(1, 2) });
        Assert.Empty(warnings);
        string manifest = Path.Combine(Out, "manifest-0-of-2.jsonl");
        File.AppendAllText(manifest, "{\"input\":\"x\",\n\0\0\n");

        await workspace.RunAsync([new TestRefiner()], options with { Shard = new Shard(1, 2) });
        Assert.Empty(warnings);
        foreach (Shard shard in (Shard[])[new(0, 2), Shard.Whole])
        {
            await workspace.RunAsync([new TestRefiner()], options with { Shard = shard });
            string warning = Assert.Single(warnings);
            Assert.StartsWith($"{manifest}: ", warning, StringComparison.Ordinal);
            Assert.Contains(": 2 lines", warning, StringComparison.Ordinal);
            warnings.Clear();
        }
    }

    [Fact]
    public async Task A_shard_keeps_the_lines_of_its_own_inputs_in_mind()
    {
        workspace.WriteInputs(20);
        await workspace.RunAsync([new TestRefiner()], new RefineJobOptions { OutputFolder = Out });
        long[] counts = [.. Enumerable.Range(0, 3).Select(i =>
        {
            using ManifestIndex index = ManifestIndex.Of(OutputFolder.Manifests(Out), new Shard(i, 3));
            return index.Count;
        })];

        Assert.Equal(20, counts.Sum());
        Assert.All(counts, count => Assert.InRange(count, 1, 18));
    }

    // Durable outputs need the folders up to the root synced, however the root is written; "/" is one too.
    [Theory]
    [InlineData("")]
    [InlineData("/")]
    [InlineData("//")]
    [InlineData("/.")]
    [InlineData("/x/..")]
    public void The_folders_to_sync_do_not_depend_on_how_the_output_folder_is_written(string end)
    {
        Directory.CreateDirectory(Path.Combine(Out, "x"));
        using OutputFolder output = OutputFolder.Open(Out + end, Shard.Whole, durable: true);
        Assert.Equal([Path.Combine(Out, "a/b"), Path.Combine(Out, "a"), Out], OutputFolder.FoldersOf(output.Root, "a/b/c.png"));
        Assert.Equal(["/a", "/"], OutputFolder.FoldersOf("/", "a/c.png"));
    }

    [Fact]
    public async Task Faults_of_the_device_are_recorded_and_too_many_end_the_run()
    {
        workspace.WriteInputs(40);
        LaneReport Report(int image) => (image % 4) switch
        {
            0 => new(LaneFault.NotFinite, "test", true),
            1 => new(LaneFault.OutOfMemory, "test", false),
            2 => new(LaneFault.None, "test", true),
            _ => new(LaneFault.None, "test", false),
        };
        (List<ManifestEntry> entries, RefineJobProgress progress) =
            await workspace.RunAsync([new TestRefiner(report: Report)], new RefineJobOptions { OutputFolder = Out });

        Assert.Equal((20, 20, 10), (progress.Refined, progress.Failed, progress.FellBack));
        Assert.Equal(10, progress.Causes[RefineCause.NotFinite]);
        Assert.Equal(10, progress.Causes[RefineCause.Memory]);
        Assert.Equal(10, entries.Count(entry => entry is { Status: RefineStatus.Refined, Fallback: "f32" }));
        Assert.Equal(20, BatchWorkspace.Tree(Out).Count);

        RefineJobProgress ended = (await workspace.RunAsync([new TestRefiner(report: Report)], new RefineJobOptions
        {
            OutputFolder = workspace["few"],
            MaxFailures = 2,
            Pipeline = new RefinePipelineOptions { Window = 2, CodecThreads = 1 },
        })).Progress;
        Assert.InRange(ended.Failed, 3, 8);
    }

    // exp(200) is beyond float32: whichever sign the filter enters the log magnitude with, one of two frequencies overflows. Bytes would hide it.
    [Fact]
    public async Task A_result_that_is_not_finite_fails_its_image()
    {
        for (int i = 0; i < 3; i++)
        {
            workspace.Write($"{i}.png", BatchWorkspace.Png(i));
        }

        string broken = workspace["broken.safetensors"];
        using (SafeTensorsFile file = SafeTensorsFile.Open(workspace.Model))
        {
            StoredTensor filter = Assert.Single(file.Tensors);
            using var writer = new SafeTensorsWriter(broken, file.Metadata.ToDictionary(), [filter]);
            float[] values = new float[filter.Count];
            (values[5], values[9]) = (200, -200);
            writer.Write(filter.Name, values);
            writer.Commit();
        }

        using Refiner refiner = Refiner.Load(broken);
        RefineJobProgress progress = (await workspace.RunAsync([refiner], new RefineJobOptions { OutputFolder = Out })).Progress;

        Assert.Equal((0, 3), (progress.Refined, progress.Failed));
        Assert.Equal(3, progress.Causes[RefineCause.NotFinite]);
        Assert.Empty(BatchWorkspace.Tree(Out));
    }

    [Fact]
    public async Task A_device_that_is_lost_ends_the_run_with_what_is_done_kept()
    {
        workspace.WriteInputs(40);
        TestRefiner refiner = new(image =>
        {
            if (image == 20)
            {
                throw new InvalidOperationException("lost");
            }
        });

        await Assert.ThrowsAsync<InvalidOperationException>(
            () => workspace.RunAsync([refiner], new RefineJobOptions { OutputFolder = Out }));

        // Batches are of four, so those of the first twenty that reached the device in whole batches are there, each with its line.
        int written = BatchWorkspace.Tree(Out).Count;
        Assert.InRange(written, 14, 20);
        Assert.Equal(written, ManifestIndex.Read(Path.Combine(Out, "manifest.jsonl")).Count());
    }

    // The third allocation belongs to the program of four lanes; what is left is done by programs of two and one. The oracle is a run with
    // room enough. Without the pipeline, which may send the first image alone.
    [Fact]
    public void Out_of_memory_on_a_GPU_halves_the_batch_and_goes_on()
    {
        SimulatedCuda.Require();
        const int Side = 32;
        List<string> warnings = [];
        (byte[][] Images, LaneReport[] Lanes) Refine(long failing)
        {
            byte[][] images = [.. Enumerable.Range(0, 9).Select(i => SyntheticImages.GanLike(4, i, Side).Pixels)];
            var lanes = new LaneReport[images.Length];
            using Refiner refiner = Refiner.Load(workspace.Model, new RefinerOptions { Device = "cuda:0", Batch = 4, Warn = warnings.Add });
            FailAllocation(failing);
            refiner.Refine(images, lanes, Side, Side);
            return (images, lanes);
        }

        byte[][] expected = Refine(0).Images;
        Assert.DoesNotContain(warnings, warning => warning.Contains("too little memory", StringComparison.Ordinal));

        (byte[][] refined, LaneReport[] lanes) = Refine(3);
        Assert.All(lanes, lane => Assert.Equal(LaneFault.None, lane.Fault));
        Assert.All(lanes, lane => Assert.Matches(" [12]x3x32x32$", lane.Plan));
        Assert.Single(warnings, warning => warning.Contains("too little memory for 4 images", StringComparison.Ordinal));
        Assert.Equal(expected, refined);
    }

    [Fact]
    public async Task On_a_simulated_GPU_bytes_do_not_depend_on_batch_or_shards_and_plans_are_few()
    {
        SimulatedCuda.Require();
        workspace.WriteInputs(13);
        string[] outputs = ["one", "eight", "sharded"];
        List<string> plans = [];
        foreach ((string name, int batch, int shards) in (ValueTuple<string, int, int>[])[("one", 1, 1), ("eight", 8, 1), ("sharded", 4, 3)])
        {
            for (int i = 0; i < shards; i++)
            {
                using Refiner refiner = Refiner.Load(workspace.Model, new RefinerOptions { Device = "cuda:0", Batch = batch });
                (List<ManifestEntry> entries, RefineJobProgress progress) = await workspace.RunAsync(
                    [refiner], new RefineJobOptions { OutputFolder = workspace[name], Shard = new Shard(i, shards) });
                Assert.Equal(0, progress.Failed);
                plans.AddRange(entries.Select(entry => entry.Plan!.Split(' ')[^1].Split('x')[0]));
            }
        }

        Assert.Subset(new HashSet<string> { "1", "2", "4", "8" }, plans.ToHashSet());
        Assert.Single(outputs.Select(name => string.Join('\n', BatchWorkspace.Tree(workspace[name]).Select(file => $"{file.Key} {file.Value}"))).Distinct());
    }

    private static int Shell(string command)
    {
        using Process process = Process.Start("sh", ["-c", command]);
        process.WaitForExit();
        return process.ExitCode;
    }

    private static (int Manifests, long Inputs, long Problems) Counts((ManifestMergeResult Result, List<string>) merged) =>
        (merged.Result.Manifests, merged.Result.Inputs, merged.Result.Problems);

    private async Task<(ManifestMergeResult Result, List<string> Problems)> MergeAsync(bool tar = false)
    {
        List<string> problems = [];
        InputListing listing = await InputListing.OpenAsync(workspace.Inputs(Out) with { Tar = tar });
        return (await ManifestMerge.RunAsync(Out, listing.ListAsync(), problems.Add), problems);
    }

    [DllImport("libc", EntryPoint = "mkfifo")]
    private static extern int MakePipe(byte[] path, uint mode);

    [DllImport("libc", EntryPoint = "creat")]
    private static extern int Create(byte[] path, uint mode);

    [DllImport("libc", EntryPoint = "unlink")]
    private static extern int Unlink(byte[] path);

    [DllImport("libc", EntryPoint = "close")]
    private static extern int Close(int descriptor);

    [DllImport("libcuda.so.1", EntryPoint = "cudasim_fail_allocation")]
    private static extern void FailAllocation(long n);
}
