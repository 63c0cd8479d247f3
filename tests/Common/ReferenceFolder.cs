namespace Stig.Tests;

/// <summary>
/// The folder of reference tensors: the one that STIG_GOLDEN names, else tests/golden of the repository that the test program lies in.
/// </summary>
internal static class ReferenceFolder
{
    public const string Variable = "STIG_GOLDEN";

    public static string Location { get; } =
        Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } folder ? folder
        : Repository.Root is null ? Path.Combine(AppContext.BaseDirectory, "golden")
        : Repository.PathOf("tests/golden");
}
