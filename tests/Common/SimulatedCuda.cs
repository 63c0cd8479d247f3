namespace Stig.Tests;

/// <summary>Finds the simulated CUDA libraries that the build leaves in artifacts/cudasim.</summary>
internal static class SimulatedCuda
{
    private const string SearchVariable = "STIG_CUDA_PATH";

    private static readonly Lazy<string?> Missing = new(Find);

    /// <summary>Skips the test where there are none, nor a folder of others in STIG_CUDA_PATH.</summary>
    public static void Require() => Assert.SkipWhen(Missing.Value is not null, Missing.Value ?? "");

    private static string? Find()
    {
        if (!string.IsNullOrEmpty(Environment.GetEnvironmentVariable(SearchVariable)))
        {
            return null;
        }

        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "Stig.sln")))
            {
                string libraries = Path.Combine(folder.FullName, "artifacts", "cudasim");
                if (!File.Exists(Path.Combine(libraries, "libcuda.so.1")))
                {
                    break;
                }

                // Read when the first CUDA library is loaded, which is after this.
                Environment.SetEnvironmentVariable(SearchVariable, libraries);

                // What is measured here is of no use to anybody else.
                string cache = Path.Combine(AppContext.BaseDirectory, "cache");
                if (Directory.Exists(cache))
                {
                    Directory.Delete(cache, recursive: true);
                }

                Environment.SetEnvironmentVariable("XDG_CACHE_HOME", cache);
                return null;
            }
        }

        return "The simulated CUDA libraries are not built (artifacts/cudasim).";
    }
}
