namespace Stig.Tests;

/// <summary>The copy of the sources that the test program was built in.</summary>
internal static class Repository
{
    /// <summary>Its folder; null where the test program lies elsewhere.</summary>
    public static string? Root { get; } = Find();

    /// <summary>A file or folder in it.</summary>
    /// <param name="path">Its path below the root, with '/' between parts.</param>
    /// <exception cref="DirectoryNotFoundException">The test program lies elsewhere.</exception>
    public static string PathOf(string path) =>
        Path.Combine(Root ?? throw new DirectoryNotFoundException($"{AppContext.BaseDirectory} lies in no copy of the sources."), path);

    private static string? Find()
    {
        DirectoryInfo? folder = new(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "Stig.sln")))
        {
            folder = folder.Parent;
        }

        return folder?.FullName;
    }
}
