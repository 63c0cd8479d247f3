using Stig.Model.Imaging;
using Stig.Model.Refinement;
using Stig.Model.Tests.Training;
using Stig.Model.Training;
using Stig.Model.Translation;

namespace Stig.Model.Tests.Refinement;

public sealed class BatchRefinerTests : IDisposable
{
    private static readonly (int Width, int Height)[] Sizes = [(32, 32), (32, 48), (20, 33)];

    private readonly SyntheticRun synthetic = new();
    private readonly string model;

    public BatchRefinerTests() => model = TrainingRun.Run(synthetic.Options(Preset.Filter, "run", steps: 1)).LastCheckpoint;

    public void Dispose() => synthetic.Dispose();

    // Sizes alternate, so groups stay incomplete; one byte of memory forces every image through alone. The oracle is the refiner itself.
    [Theory]
    [InlineData(1, 1, 1L)]
    [InlineData(4, 1, 1L)]
    [InlineData(4, 3, 20_000L)]
    [InlineData(4, 3, 256L << 20)]
    [InlineData(100, 2, 256L << 20)]
    public void Every_image_comes_out_whatever_memory_and_threads(int batch, int threads, long memory)
    {
        WriteInputs(25);
        BatchRefinerOptions options = Options() with { Batch = batch, Threads = threads, MemoryBytes = memory };
        List<string> reported = [];
        using Refiner refiner = Refiner.Load(model);
        IReadOnlyList<RefineItem> items = BatchRefiner.Plan(ImageFiles.FindIn(synthetic["in"]), options);

        BatchRefinerResult result = BatchRefiner.Run(
            refiner, items, options with { Progress = image => reported.Add(image.Item.Output) });

        Assert.True(result.Completed);
        Assert.Equal(items.Count, result.Refined);
        Assert.Empty(result.Failures);
        Assert.Equal(items.Select(item => item.Output).Order(), reported.Order());
        foreach (RefineItem item in items)
        {
            Assert.Equal(refiner.Refine(ImageCodec.Load(item.Input.Path)).Pixels, ImageCodec.Load(item.Output).Pixels);
        }
    }

    [Fact]
    public void A_cancelled_run_writes_whole_images_and_begins_no_other()
    {
        WriteInputs(25);
        using var source = new CancellationTokenSource();
        BatchRefinerOptions options = Options() with { Batch = 1, Threads = 1, MemoryBytes = 1, Progress = _ => source.Cancel() };
        using Refiner refiner = Refiner.Load(model);

        BatchRefinerResult result = BatchRefiner.Run(
            refiner, BatchRefiner.Plan(ImageFiles.FindIn(synthetic["in"]), options), options, source.Token);

        Assert.False(result.Completed);
        Assert.InRange(result.Refined, 1, 24);
        string[] written = Directory.GetFiles(synthetic["out"]);
        Assert.Equal(result.Refined, written.Length);
        Assert.All(written, path => ImageCodec.Load(path));
    }

    // A folder stands where one of the files would go: the error of the thread that writes reaches the caller.
    [Fact]
    public void An_output_that_cannot_be_written_ends_the_run()
    {
        WriteInputs(6);
        Directory.CreateDirectory(Path.Combine(synthetic["out"], "00003.png", "inner"));
        BatchRefinerOptions options = Options() with { Threads = 2 };
        using Refiner refiner = Refiner.Load(model);
        IReadOnlyList<RefineItem> items = BatchRefiner.Plan(ImageFiles.FindIn(synthetic["in"]), options);

        IOException error = Assert.ThrowsAny<IOException>(() => BatchRefiner.Run(refiner, items, options));

        Assert.Contains("00003.png", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain(Directory.GetFiles(synthetic["out"]), path => path.EndsWith(".tmp", StringComparison.Ordinal));
    }

    private BatchRefinerOptions Options() => new() { OutputFolder = synthetic["out"] };

    private void WriteInputs(int count)
    {
        var random = new Random(8);
        for (int i = 0; i < count; i++)
        {
            (int width, int height) = Sizes[i % Sizes.Length];
            byte[] pixels = new byte[3 * width * height];
            random.NextBytes(pixels);
            ImageCodec.Save(Path.Combine(synthetic["in"], $"{i:D5}.png"), new RgbImage(width, height, pixels));
        }
    }
}
