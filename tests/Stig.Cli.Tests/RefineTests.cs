using System.Security.Cryptography;
using Stig.Interop;
using Stig.Model;
using Stig.Model.Imaging;
using Stig.Model.Refinement;

namespace Stig.Cli.Tests;

public sealed class RefineTests(Workspace workspace)
{
    private readonly string folder = workspace.NewFolder();

    private string Output => Path.Combine(folder, "out");

    [Fact]
    public void A_folder_keeps_its_tree_and_gives_what_the_library_gives()
    {
        string input = Path.Combine(folder, "in");
        string[] names = ["a.png", "b/a.webp", "b/c/d.jpg", "b/c/e.PNG"];
        for (int i = 0; i < names.Length; i++)
        {
            ImageCodec.Save(Path.Combine(input, names[i]), SyntheticImages.GanLike(3, i, Workspace.Size));
        }

        CliRun run = CliRun.Of("refine", "--model", workspace.DefaultModel, "--out", Output, "--batch", "3", input);

        Assert.Equal((ExitCode.Success, ""), (run.Code, run.Error));
        Assert.Equal(["a.png", "b/a.png", "b/c/d.png", "b/c/e.png"], FilesBelow(Output));
        using Refiner refiner = Refiner.Load(workspace.DefaultModel);
        foreach (string name in names)
        {
            RgbImage expected = refiner.Refine(ImageCodec.Load(Path.Combine(input, name)));
            Assert.Equal(expected.Pixels, ImageCodec.Load(Path.Combine(Output, Path.ChangeExtension(name, ".png"))).Pixels);
        }
    }

    [Fact]
    public void Alpha_is_carried_through()
    {
        RgbImage opaque = SyntheticImages.GanLike(3, 0, Workspace.Size);
        byte[] alpha = [.. Enumerable.Range(0, Workspace.Size * Workspace.Size).Select(i => (byte)(i * 7))];
        string path = Path.Combine(folder, "a.png");
        ImageCodec.Save(path, new RgbImage(Workspace.Size, Workspace.Size, opaque.Pixels, alpha));

        Assert.Equal(ExitCode.Success, CliRun.Of("refine", "--model", workspace.FilterModel, "--out", Output, path).Code);

        Assert.Equal(alpha, ImageCodec.Load(Path.Combine(Output, "a.png")).Alpha);
    }

    [Fact]
    public void Outputs_of_a_resampled_filter_are_marked_and_warned_of_once()
    {
        string input = Path.Combine(folder, "in");
        ImageCodec.Save(Path.Combine(input, "large-0.png"), SyntheticImages.GanLike(3, 0, 48));
        ImageCodec.Save(Path.Combine(input, "large-1.png"), SyntheticImages.GanLike(3, 1, 48));
        ImageCodec.Save(Path.Combine(input, "same.png"), SyntheticImages.GanLike(3, 2, Workspace.Size));

        CliRun run = CliRun.Of("refine", "--model", workspace.FilterModel, "--out", Output, input);

        Assert.Equal(ExitCode.Success, run.Code);
        string warning = Assert.Single(run.ErrorLines);
        Assert.Contains("32 x 32", warning, StringComparison.Ordinal);
        Assert.Contains("48 x 48", warning, StringComparison.Ordinal);
        KeyValuePair<string, string> software = new("Software", $"stig {ProgramVersion.Current}");
        KeyValuePair<string, string> model = new("Model", Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(workspace.FilterModel)))[..16]);
        Assert.Equal([software, model], TextsOf("same.png"));
        Assert.Equal([software, model, new("Comment", "filter resampled from 32x32 to 48x48")], TextsOf("large-0.png"));
        Assert.Equal(TextsOf("large-0.png"), TextsOf("large-1.png"));
    }

    [Fact]
    public void A_precision_that_the_CPU_has_not_is_refused_before_anything_is_written()
    {
        string[] wanted = ProcessorInfo.Has("avx512_bf16") || ProcessorInfo.Has("amx_bf16") ? ["tf32"] : ["tf32", "bf16"];
        Assert.All(wanted, IsRefused);
    }

    private void IsRefused(string precision)
    {
        string path = Path.Combine(folder, "a.png");
        ImageCodec.Save(path, SyntheticImages.GanLike(3, 0, Workspace.Size));

        CliRun run = CliRun.Of("refine", "--model", workspace.FilterModel, "--out", Output, "--device", "cpu", "--precision", precision, path);

        run.AssertFails(ExitCode.Device, precision, "--precision f32");
        Assert.False(File.Exists(Path.Combine(Output, "a.png")));
    }

    [Fact]
    public void On_the_CPU_auto_is_decided_by_the_processor()
    {
        string path = Path.Combine(folder, "a.png");
        ImageCodec.Save(path, SyntheticImages.GanLike(3, 0, Workspace.Size));
        bool hasBf16 = ProcessorInfo.Has("avx512_bf16") || ProcessorInfo.Has("amx_bf16");
        foreach (string precision in (string[])["auto", "f32", .. hasBf16 ? (string[])["bf16"] : []])
        {
            string output = Path.Combine(folder, precision);
            CliRun run = CliRun.Of("refine", "--model", workspace.DefaultModel, "--out", output, "--device", "cpu", "--precision", precision, path);
            Assert.Equal((ExitCode.Success, ""), (run.Code, run.Error));
        }

        string chosen = ProcessorInfo.Has("amx_bf16") ? "bf16" : "f32";
        Assert.Equal(File.ReadAllBytes(Path.Combine(folder, chosen, "a.png")), File.ReadAllBytes(Path.Combine(folder, "auto", "a.png")));
    }

    [Fact]
    public void Without_stamp_only_the_resampling_is_noted()
    {
        string input = Path.Combine(folder, "in");
        ImageCodec.Save(Path.Combine(input, "large.png"), SyntheticImages.GanLike(3, 0, 48));
        ImageCodec.Save(Path.Combine(input, "same.png"), SyntheticImages.GanLike(3, 2, Workspace.Size));

        Assert.Equal(ExitCode.Success, CliRun.Of("refine", "--model", workspace.FilterModel, "--out", Output, "--no-stamp", input).Code);

        Assert.Empty(TextsOf("same.png"));
        Assert.Equal("Comment", Assert.Single(TextsOf("large.png")).Key);
    }

    // 17 x 41 is no multiple of 16: the network gets a padded image, the output has the input's size.
    [Theory]
    [InlineData("clamp")]
    [InlineData("stretch")]
    public void Any_size_comes_out_as_it_went_in(string range)
    {
        string path = Path.Combine(folder, "odd.png");
        RgbImage fake = SyntheticImages.GanLike(4, 0, 64);
        byte[] pixels = [.. Enumerable.Range(0, 41).SelectMany(y => fake.Pixels.AsSpan(3 * 64 * y, 3 * 17).ToArray())];
        ImageCodec.Save(path, new RgbImage(17, 41, pixels));

        CliRun run = CliRun.Of("refine", "--model", workspace.DefaultModel, "--out", Output, "--output-range", range, path);

        Assert.Equal(ExitCode.Success, run.Code);
        RgbImage refined = ImageCodec.Load(Path.Combine(Output, "odd.png"));
        Assert.Equal((17, 41), (refined.Width, refined.Height));
        Assert.NotEqual(pixels, refined.Pixels);
        if (range == "stretch")
        {
            // The extremes are those of the padded image, and may lie in what is cut off again: a reflection of what stays, refined with it.
            Assert.InRange(refined.Pixels.Min(), 0, 5);
            Assert.InRange(refined.Pixels.Max(), 250, 255);
        }
    }

    private IReadOnlyList<KeyValuePair<string, string>> TextsOf(string name) => PngText.Read(File.ReadAllBytes(Path.Combine(Output, name)));

    private static IEnumerable<string> FilesBelow(string root) =>
        Directory.GetFiles(root, "*.*g", SearchOption.AllDirectories).Select(path => Path.GetRelativePath(root, path))
            .Order(StringComparer.Ordinal);
}
