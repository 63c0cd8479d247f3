namespace Stig.Model.Tests.Golden;

/// <summary>
/// The folder of reference tensors: the one that STIG_GOLDEN names, else tests/golden of the repository that the test program
/// lies in. What it lacks is a skip that names it.
/// </summary>
internal static class GoldenFolder
{
    private const string Variable = "STIG_GOLDEN";

    public static string Location { get; } =
        Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } folder ? folder : InRepository();

    /// <summary>Opens NAME.safetensors, or skips the test.</summary>
    public static GoldenFile Open(string name) => new(name, Require(name + ".safetensors"));

    /// <summary>Path of a file of the folder, or a skip.</summary>
    public static string Require(string name)
    {
        string path = Path.Combine(Location, name);
        Assert.SkipUnless(File.Exists(path), $"{name} is not in {Location}; set {Variable} to a folder that has it.");
        return path;
    }

    private static string InRepository()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "Stig.sln")))
            {
                return Path.Combine(folder.FullName, "tests", "golden");
            }
        }

        return Path.Combine(AppContext.BaseDirectory, "golden");
    }
}
