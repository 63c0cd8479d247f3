using Stig.Cli.Tests;
using Stig.Model.Imaging;

[assembly: AssemblyFixture(typeof(Workspace))]

namespace Stig.Cli.Tests;

/// <summary>Small images and models that all tests share, in a folder that goes with the test program.</summary>
public sealed class Workspace : IDisposable
{
    /// <summary>Side of the images, and the size of the models.</summary>
    public const int Size = 32;

    private int folders;

    public Workspace()
    {
        SyntheticImages.WriteSet(Path.Combine(Root, "data"), 4, Size, seed: 5);
        FilterModel = Train("filter");
        DefaultModel = Train("default");
    }

    public string Root { get; } = Directory.CreateTempSubdirectory("stig-cli-").FullName;

    public string Real => Path.Combine(Root, "data", "real");

    public string Fake => Path.Combine(Root, "data", "fake");

    public string FilterModel { get; }

    public string DefaultModel { get; }

    /// <summary>An empty folder for one test.</summary>
    public string NewFolder() => Directory.CreateDirectory(Path.Combine(Root, $"test-{Interlocked.Increment(ref folders)}")).FullName;

    public void Dispose() => Directory.Delete(Root, recursive: true);

    private string Train(string preset)
    {
        string run = Path.Combine(Root, preset);
        CliRun result = CliRun.Of(
            "train", "--real", Real, "--fake", Fake, "--out", run, "--preset", preset, "--size", $"{Size}", "--width", "4",
            "--steps", "2", "--validate", "0");
        return result.Code == ExitCode.Success ? Path.Combine(run, "last.safetensors") : throw new InvalidOperationException(result.Error);
    }
}
