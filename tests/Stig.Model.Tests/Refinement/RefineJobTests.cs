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

    // A folder stands where one of the files would go: the error of the thread that writes reaches the caller.
    [Fact]
    public async Task An_output_that_cannot_be_written_ends_the_run_and_leaves_nothing_unfinished()
    {
        workspace.WriteInputs(6);
        Directory.CreateDirectory(Path.Combine(Out, "3", "00003.png", "inner"));

        IOException error = await Assert.ThrowsAnyAsync<IOException>(
            () => workspace.RunAsync([new TestRefiner()], new RefineJobOptions { OutputFolder = Out }));

        Assert.Contains("00003.png", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain(BatchWorkspace.Tree(Out).Keys, name => name.Contains(".stig-", StringComparison.Ordinal));
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
