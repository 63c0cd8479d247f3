using Stig.Model.Imaging;
using Stig.Model.Refinement;
using Stig.Model.Tests.Training;
using Stig.Model.Training;
using Stig.Model.Translation;

namespace Stig.Model.Tests.Refinement;

/// <summary>Inputs, a small model, and short ways to run a job on them.</summary>
internal sealed class BatchWorkspace : IDisposable
{
    private static readonly (int Width, int Height)[] Sizes = [(32, 32), (32, 48), (20, 33)];

    private readonly SyntheticRun synthetic = new();
    private string? model;

    public string Model => model ??= TrainingRun.Run(synthetic.Options(Preset.Filter, "run", steps: 1)).LastCheckpoint;

    public string In => synthetic["in"];

    public string Out => synthetic["out"];

    public string this[string name] => synthetic[name];

    public static byte[] Png(int seed, int width = 32, int height = 32)
    {
        byte[] pixels = new byte[3 * width * height];
        new Random(seed).NextBytes(pixels);
        return ImageCodec.Encode(new RgbImage(width, height, pixels), ImageFormat.Png).Bytes;
    }

    /// <summary>Images of three sizes in folders of seven: 0/00000.png, 1/00001.png, ...</summary>
    public void WriteInputs(int count)
    {
        for (int i = 0; i < count; i++)
        {
            Write($"{i % 7}/{i:D5}.png", Png(i, Sizes[i % 3].Width, Sizes[i % 3].Height));
        }
    }

    public string Write(string name, byte[] content)
    {
        string path = Path.Combine(In, name);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllBytes(path, content);
        return path;
    }

    public InputOptions Inputs(string output, params string[] paths) =>
        new() { Paths = paths.Length > 0 ? paths : [In], OutputFolder = output };

    public async Task<(List<ManifestEntry> Entries, RefineJobProgress Progress)> RunAsync(
        IReadOnlyList<IImageRefiner> devices, RefineJobOptions options, InputOptions? inputs = null,
        Action<ManifestEntry>? seen = null, CancellationToken drain = default)
    {
        InputListing listing = await InputListing.OpenAsync((inputs ?? Inputs(options.OutputFolder)) with { Tar = options.Tar }, CancellationToken.None);
        using RefineJob job = RefineJob.Open(devices, options);
        List<ManifestEntry> entries = [];
        await foreach (ManifestEntry entry in job.RunAsync(listing.ListAsync(CancellationToken.None), drain))
        {
            entries.Add(entry);
            seen?.Invoke(entry);
        }

        return (entries, job.Progress);
    }

    /// <summary>The outputs below a folder with their bytes, without the job's own files.</summary>
    public static SortedDictionary<string, string> Tree(string folder)
    {
        SortedDictionary<string, string> tree = new(StringComparer.Ordinal);
        foreach (string path in Directory.EnumerateFiles(folder, "*", new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = 0 }))
        {
            string name = Path.GetRelativePath(folder, path);
            if (!name.StartsWith(".stig/", StringComparison.Ordinal) && !(name.StartsWith("manifest", StringComparison.Ordinal)))
            {
                tree.Add(name, Convert.ToHexString(File.ReadAllBytes(path)));
            }
        }

        return tree;
    }

    public void Dispose() => synthetic.Dispose();
}

/// <summary>Gives images back as they are, and does on the way what a test wants.</summary>
internal sealed class TestRefiner(Action<int>? before = null, Func<int, LaneReport>? report = null, int batch = 4) : IImageRefiner
{
    private int seen;

    public string Device => "test";

    public string ModelId { get; init; } = "1111111111111111";

    public string Options => "test=yes";

    public int Batch => batch;

    public int MostTogether { get; private set; }

    /// <summary>What is asked for a remark while an image is encoded.</summary>
    public Func<string?>? Remarks { get; init; }

    public string? Remark(int width, int height) => Remarks?.Invoke();

    public void Refine(ReadOnlySpan<byte[]> images, Span<LaneReport> lanes, int height, int width)
    {
        MostTogether = Math.Max(MostTogether, lanes.Length);
        for (int i = 0; i < lanes.Length; i++)
        {
            before?.Invoke(seen);
            lanes[i] = report?.Invoke(seen) ?? new LaneReport(LaneFault.None, "test", false);
            seen++;
        }
    }

    public void Dispose()
    {
    }
}
