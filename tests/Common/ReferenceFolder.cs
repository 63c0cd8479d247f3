namespace Stig.Tests;

/// <summary>
/// The folder of reference tensors: the one that STIG_GOLDEN names, else tests/golden of the repository that the test program lies in.
/// </summary>
internal static class ReferenceFolder
{
    public const string Variable = "STIG_GOLDEN";

    public static string Location { get; } =
        Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } folder ? folder : InRepository();

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
