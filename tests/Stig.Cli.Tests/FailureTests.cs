using Stig.Interop;
using Stig.Model.Checkpoints;
using Stig.Model.Execution;
using Stig.Model.Imaging;
using Stig.Model.Training;

namespace Stig.Cli.Tests;

/// <summary>Each thing that goes wrong gives one line, its exit code, and leaves nothing half-written.</summary>
public sealed class FailureTests(Workspace workspace)
{
    private readonly string folder = workspace.NewFolder();

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Training_without_images_names_the_folder(bool exists)
    {
        string empty = Path.Combine(folder, "empty"), output = Path.Combine(folder, "run");
        if (exists)
        {
            Directory.CreateDirectory(empty);
        }

        CliRun.Of("train", "--real", workspace.Real, "--fake", empty, "--out", output).AssertFails(ExitCode.Data, empty);
        Assert.False(Path.Exists(output));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Refining_without_images_names_the_folder(bool exists)
    {
        string empty = Path.Combine(folder, "empty"), output = Path.Combine(folder, "out");
        if (exists)
        {
            Directory.CreateDirectory(empty);
        }

        CliRun.Of("refine", "--model", workspace.FilterModel, "--out", output, empty).AssertFails(ExitCode.Data, empty);
        Assert.False(Path.Exists(output));
    }

    [Fact]
    public void Refining_reports_damaged_images_and_does_the_others()
    {
        string[] damaged = DamagedAmongGood(out string input);
        string output = Path.Combine(folder, "out");

        CliRun run = CliRun.Of("refine", "--model", workspace.FilterModel, "--out", output, input);

        Assert.Equal(ExitCode.SomeFailed, run.Code);
        Assert.Equal(damaged.Length, run.ErrorLines.Length);
        Assert.All(damaged, path => Assert.Single(run.ErrorLines, line => line.StartsWith($"stig: {path}: ", StringComparison.Ordinal)));
        Assert.Equal(["good-0.png", "good-1.png"], Directory.GetFiles(output, "*.png").Select(Path.GetFileName).Order());
        Assert.Contains("Refined 2 of 5 images", run.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Training_skips_damaged_images_and_says_so()
    {
        string[] damaged = DamagedAmongGood(out string input);
        string output = Path.Combine(folder, "run");

        // An image of a single pixel is extended by reflection; only what cannot be decoded is skipped.
        CliRun run = CliRun.Of("train", "--real", workspace.Real, "--fake", input, "--out", output, "--preset", "filter", "--size", "32");

        Assert.Equal(ExitCode.Success, run.Code);
        Assert.Equal(damaged.Length, run.ErrorLines.Length);
        Assert.All(damaged,
            path => Assert.Single(run.ErrorLines, line => line.Contains($"skipped {path}: ", StringComparison.Ordinal)));
        Assert.True(File.Exists(Path.Combine(output, "last.safetensors")));
    }

    [Fact]
    public void Refining_nothing_but_damaged_images_is_a_failure()
    {
        string path = Path.Combine(folder, "empty.png");
        File.WriteAllBytes(path, []);

        CliRun.Of("refine", "--model", workspace.FilterModel, "--out", Path.Combine(folder, "out"), path)
            .AssertFails(ExitCode.Data, path, "empty");
    }

    // A file stands where a folder is needed, or the folder would lie in /proc: root cannot write there either.
    [Theory]
    [InlineData("file")]
    [InlineData("file/inner")]
    [InlineData("/proc/stig")]
    public void A_folder_that_cannot_be_written_is_named_before_any_work(string name)
    {
        File.WriteAllText(Path.Combine(folder, "file"), "here before");
        string output = Path.Combine(folder, name);

        CliRun refine = CliRun.Of("refine", "--model", workspace.FilterModel, "--out", output, workspace.Fake);
        CliRun train = CliRun.Of(
            "train", "--real", workspace.Real, "--fake", workspace.Fake, "--out", output, "--size", "32", "--preset", "filter");
        CliRun demo = CliRun.Of("demo", "--out", output, "--quick");

        Assert.All((CliRun[])[refine, train, demo], run => run.AssertFails(ExitCode.Output, output));
        Assert.Equal("here before", File.ReadAllText(Path.Combine(folder, "file")));
        Assert.Equal(["file"], Directory.GetFileSystemEntries(folder).Select(Path.GetFileName));
    }

    [Fact]
    public void A_file_that_is_no_model_is_named()
    {
        string text = Path.Combine(folder, "text.safetensors"), foreign = Path.Combine(folder, "foreign.safetensors");
        File.WriteAllText(text, "this is no model at all");
        Write(foreign, [], []);

        foreach (string path in (string[])[text, foreign, Path.Combine(folder, "missing.safetensors")])
        {
            CliRun.Of("refine", "--model", path, "--out", Path.Combine(folder, "out"), workspace.Fake).AssertFails(ExitCode.Model, path);
            CliRun.Of("info", path).AssertFails(ExitCode.Model, path);
        }

        Assert.False(Path.Exists(Path.Combine(folder, "out")));
    }

    [Fact]
    public void A_model_of_another_version_says_which_it_needs()
    {
        string path = Path.Combine(folder, "later.safetensors");
        Dictionary<string, string> metadata = MetadataOf(workspace.FilterModel);
        metadata["schema_version"] = "999";
        Write(path, metadata, []);

        CliRun.Of("refine", "--model", path, "--out", Path.Combine(folder, "out"), workspace.Fake)
            .AssertFails(ExitCode.Model, path, "999", "1");
    }

    [Fact]
    public void A_model_of_another_architecture_names_the_tensor_and_both_shapes()
    {
        string path = Path.Combine(folder, "other.safetensors");
        using SafeTensorsFile file = SafeTensorsFile.Open(workspace.FilterModel);
        StoredTensor filter = Assert.Single(file.Tensors);
        Write(path, MetadataOf(workspace.FilterModel), [new StoredTensor(filter.Name, StoredType.F32, 3, 8, 8)]);

        CliRun.Of("refine", "--model", path, "--out", Path.Combine(folder, "out"), workspace.Fake)
            .AssertFails(ExitCode.Model, path, filter.Name, "[3, 8, 8]", "[3, 32, 32]");
    }

    [Fact]
    public void A_training_size_that_the_networks_cannot_take_is_wrong_usage()
    {
        string output = Path.Combine(folder, "run");

        CliRun.Of("train", "--real", workspace.Real, "--fake", workspace.Fake, "--out", output, "--size", "100")
            .AssertFails(ExitCode.Usage, "Size", "multiple of 16", "100");
        Assert.False(Path.Exists(output));
    }

    [Theory]
    [InlineData("cuda:63")]
    [InlineData("gpu")]
    public void A_device_that_is_not_there_is_named(string device)
    {
        string output = Path.Combine(folder, "out");

        CliRun refine = CliRun.Of("refine", "--model", workspace.FilterModel, "--out", output, "--device", device, workspace.Fake);
        CliRun train = CliRun.Of("train", "--real", workspace.Real, "--fake", workspace.Fake, "--out", output, "--device", device);
        CliRun demo = CliRun.Of("demo", "--out", output, "--device", device, "--quick");

        Assert.All((CliRun[])[refine, train, demo], run => run.AssertFails(ExitCode.Device, device, "cpu"));
        Assert.False(Path.Exists(output));
    }

    [Fact]
    public void Inputs_that_share_an_output_are_both_named()
    {
        string one = Path.Combine(folder, "one", "a.png"), two = Path.Combine(folder, "two", "a.jpg"), output = Path.Combine(folder, "out");
        RgbImage image = SyntheticImages.GanLike(1, 0, Workspace.Size);
        ImageCodec.Save(one, image);
        ImageCodec.Save(two, image);

        CliRun.Of("refine", "--model", workspace.FilterModel, "--out", output, Path.Combine(folder, "one"), Path.Combine(folder, "two"))
            .AssertFails(ExitCode.Data, one, two);
        Assert.False(Path.Exists(output));
    }

    [Fact]
    public void Images_that_differ_in_nothing_but_the_extension_keep_their_whole_names()
    {
        string input = Path.Combine(folder, "in"), output = Path.Combine(folder, "out");
        RgbImage image = SyntheticImages.GanLike(1, 0, Workspace.Size);
        ImageCodec.Save(Path.Combine(input, "a.png"), image);
        ImageCodec.Save(Path.Combine(input, "a.jpg"), image);

        Assert.Equal(ExitCode.Success, CliRun.Of("refine", "--model", workspace.FilterModel, "--out", output, input).Code);
        Assert.Equal(["a.jpg.png", "a.png"], Directory.GetFiles(output, "a*").Select(Path.GetFileName).Order());
    }

    [Fact]
    public void An_output_does_not_replace_its_input()
    {
        string path = Path.Combine(folder, "a.png");
        ImageCodec.Save(path, SyntheticImages.GanLike(1, 0, Workspace.Size));
        byte[] before = File.ReadAllBytes(path);

        CliRun.Of("refine", "--model", workspace.FilterModel, "--out", folder, path).AssertFails(ExitCode.Data, path);
        Assert.Equal(before, File.ReadAllBytes(path));
    }

    [Fact]
    public void A_folder_with_a_run_is_neither_overwritten_nor_resumed_with_other_options()
    {
        string run = Path.GetDirectoryName(workspace.DefaultModel)!;
        byte[] before = File.ReadAllBytes(workspace.DefaultModel);

        CliRun.Of("train", "--real", workspace.Real, "--fake", workspace.Fake, "--out", run, "--size", "32", "--width", "4")
            .AssertFails(ExitCode.Output, run, "--resume");
        CliRun.Of("train", "--real", workspace.Real, "--fake", workspace.Fake, "--out", run, "--resume", "--width", "8")
            .AssertFails(ExitCode.Usage, "--width", "4", "8");
        Assert.Equal(before, File.ReadAllBytes(workspace.DefaultModel));
    }

    [Fact]
    public void A_folder_without_a_run_cannot_be_resumed()
    {
        CliRun.Of("train", "--real", workspace.Real, "--fake", workspace.Fake, "--out", folder, "--resume")
            .AssertFails(ExitCode.Model, folder);
    }

    // The one place that maps exceptions; the oracle is the documented list.
    [Fact]
    public void Every_kind_of_exception_has_its_code()
    {
        (Exception Error, int Code)[] cases =
        [
            (new UsageException("x"), ExitCode.Usage),
            (new ImageDataException("x"), ExitCode.Data),
            (new ImageFormatException("x"), ExitCode.Data),
            (new CheckpointException("x"), ExitCode.Model),
            (new CheckpointException("x") { IsWriteFailure = true }, ExitCode.Output),
            (new DeviceException("x"), ExitCode.Device),
            (new NativeLibraryMissingException("x"), ExitCode.Device),
            (new NativeCoreException(CoreStatus.OutOfMemory, "x"), ExitCode.Device),
            (new TrainingDivergedException("x"), ExitCode.Diverged),
            (new IOException("x"), ExitCode.Output),
            (new UnauthorizedAccessException("x"), ExitCode.Output),
            (new OperationCanceledException("x"), ExitCode.Interrupted),
            (new NativeCoreException(CoreStatus.InternalError, "x"), ExitCode.Internal),
            (new InvalidOperationException("two\nlines"), ExitCode.Internal),
        ];

        Assert.All(cases, item =>
        {
            Failure failure = Failure.Of(item.Error);
            Assert.Equal(item.Code, failure.Code);
            Assert.DoesNotContain('\n', failure.Line);
        });
    }

    [Fact]
    public void A_stack_trace_is_shown_on_request_only()
    {
        string path = Path.Combine(folder, "missing.safetensors");

        Assert.DoesNotContain("   at Stig.", CliRun.Of("info", path).Error, StringComparison.Ordinal);
        Assert.Contains("   at Stig.", CliRun.Of("info", path, "--trace").Error, StringComparison.Ordinal);
    }

    private string[] DamagedAmongGood(out string input)
    {
        input = Path.Combine(folder, "in");
        for (int i = 0; i < 2; i++)
        {
            ImageCodec.Save(Path.Combine(input, $"good-{i}.png"), SyntheticImages.GanLike(1, i, Workspace.Size));
        }

        byte[] good = File.ReadAllBytes(Path.Combine(input, "good-0.png"));
        (string Name, byte[] Content)[] damaged =
        [
            ("truncated.png", good[..(good.Length / 2)]),
            ("zero.jpg", []),
            ("mislabelled.png", "text, whatever its name says"u8.ToArray()),
        ];
        foreach ((string name, byte[] content) in damaged)
        {
            File.WriteAllBytes(Path.Combine(input, name), content);
        }

        string folderOfInput = input;
        return [.. damaged.Select(item => item.Name).Select(name => Path.Combine(folderOfInput, name))];
    }

    private static Dictionary<string, string> MetadataOf(string path)
    {
        using SafeTensorsFile file = SafeTensorsFile.Open(path);
        return file.Metadata.ToDictionary();
    }

    private static void Write(string path, Dictionary<string, string> metadata, StoredTensor[] tensors)
    {
        using var writer = new SafeTensorsWriter(path, metadata, tensors);
        foreach (StoredTensor tensor in tensors)
        {
            writer.Write(tensor.Name, new float[tensor.Count]);
        }

        writer.Commit();
    }
}
