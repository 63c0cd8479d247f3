using System.ComponentModel;
using System.Diagnostics;

namespace Stig.Interop.Cuda.Loading;

/// <summary>One place where libraries may lie.</summary>
/// <param name="Origin">Why it is looked at, for people ("STIG_CUDA_PATH", "conda").</param>
/// <param name="Folder">The folder; null for the system's loader, which takes bare names.</param>
/// <param name="Absence">Set when the place does not exist here: what is missing ("not set").</param>
internal sealed record SearchPlace(string Origin, string? Folder, string? Absence = null)
{
    internal bool IsSystemLoader => Folder is null && Absence is null;
}

/// <summary>
/// The order in which places are searched: STIG_CUDA_PATH; beside the program; pip packages of the active Python
/// environment, then of the Python on the path; the conda environment; the system's loader; CUDA_PATH and CUDA_HOME;
/// /usr/local/cuda*. The environment comes in as functions, so that tests can search a tree of their own.
/// </summary>
internal sealed class CudaSearch
{
    /// <summary>The variable whose folders come first; several are separated as in PATH.</summary>
    internal const string PathVariable = "STIG_CUDA_PATH";

    private static readonly string[] PipPackages = ["cublas", "cufft", "cudnn", "cuda_nvrtc", "nvjitlink", "cuda_runtime"];

    private static readonly string[] DriverFolders =
        ["usr/lib/x86_64-linux-gnu", "usr/lib64", "usr/local/nvidia/lib64", "usr/lib/wsl/lib", "run/opengl-driver/lib"];

    private readonly Lazy<IReadOnlyList<string>> pythonSites;

    /// <summary>A search of this machine.</summary>
    internal CudaSearch()
    {
        Variable = Environment.GetEnvironmentVariable;
        Root = "/";
        ProgramFolder = AppContext.BaseDirectory;
        Windows = OperatingSystem.IsWindows();
        PythonSites = AskPython;
        pythonSites = new Lazy<IReadOnlyList<string>>(() => PythonSites());
    }

    /// <summary>Reads an environment variable.</summary>
    internal Func<string, string?> Variable { get; init; }

    /// <summary>What absolute system folders are below.</summary>
    internal string Root { get; init; }

    /// <summary>Folder of the running program.</summary>
    internal string ProgramFolder { get; init; }

    /// <summary>Whether files are named as on Windows.</summary>
    internal bool Windows { get; init; }

    /// <summary>Package folders of the Python on the path; called at most once, and only when the places before it did not do.</summary>
    internal Func<IReadOnlyList<string>> PythonSites { get; init; }

    /// <summary>Places for the driver.</summary>
    internal IEnumerable<SearchPlace> DriverPlaces()
    {
        foreach (SearchPlace place in FromVariable(PathVariable, FoldersOfToolkit))
        {
            yield return place;
        }

        yield return new SearchPlace("the system's loader", null);
        if (!Windows)
        {
            foreach (string folder in DriverFolders.Select(f => Path.Combine(Root, f)).Where(Directory.Exists))
            {
                yield return new SearchPlace("a usual folder of drivers", folder);
            }
        }
    }

    /// <summary>Places for every other library.</summary>
    internal IEnumerable<SearchPlace> Places()
    {
        foreach (SearchPlace place in FromVariable(PathVariable, folder => [.. FoldersOfToolkit(folder), .. FoldersOfPip(folder)]))
        {
            yield return place;
        }

        yield return new SearchPlace("beside the program", ProgramFolder);
        yield return new SearchPlace("beside the program", Path.Combine(ProgramFolder, "cuda"));

        foreach (string variable in new[] { "VIRTUAL_ENV", "CONDA_PREFIX" })
        {
            foreach (SearchPlace place in FromVariable(variable, SitesOf))
            {
                yield return place with { Origin = "Python packages of " + variable };
            }
        }

        foreach (string folder in pythonSites.Value.SelectMany(FoldersOfPip))
        {
            yield return new SearchPlace("Python packages", folder);
        }

        foreach (SearchPlace place in FromVariable("CONDA_PREFIX", FoldersOfConda))
        {
            yield return place;
        }

        yield return new SearchPlace("the system's loader", null);

        foreach (string variable in new[] { "CUDA_PATH", "CUDA_HOME" })
        {
            foreach (SearchPlace place in FromVariable(variable, FoldersOfToolkit))
            {
                yield return place;
            }
        }

        string local = Path.Combine(Root, "usr/local");
        if (!Windows && Directory.Exists(local))
        {
            // Newest first: cuda-13.0 before cuda-12.6; the bare link, which its owner chose, before both.
            foreach (string toolkit in Directory.EnumerateDirectories(local, "cuda*").OrderByDescending(VersionOf))
            {
                foreach (string folder in FoldersOfToolkit(toolkit))
                {
                    yield return new SearchPlace("an installed toolkit", folder);
                }
            }
        }
    }

    private static Version VersionOf(string toolkit)
    {
        string name = Path.GetFileName(toolkit);
        if (name == "cuda")
        {
            return new Version(int.MaxValue, 0);
        }

        string version = name["cuda".Length..].TrimStart('-');
        return Version.TryParse(version.Contains('.', StringComparison.Ordinal) ? version : version + ".0", out Version? parsed) ? parsed : new Version(0, 0);
    }

    private IEnumerable<SearchPlace> FromVariable(string variable, Func<string, IEnumerable<string>> foldersOf)
    {
        string? value = Variable(variable);
        if (string.IsNullOrEmpty(value))
        {
            yield return new SearchPlace(variable, null, "not set");
            yield break;
        }

        foreach (string root in value.Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            bool any = false;
            foreach (string folder in foldersOf(root))
            {
                any = true;
                yield return new SearchPlace(variable, folder);
            }

            if (!any)
            {
                yield return new SearchPlace(variable, null, Directory.Exists(root) ? $"{root} holds no folder of libraries" : $"{root} is no folder");
            }
        }
    }

    private IEnumerable<string> FoldersOfToolkit(string root)
    {
        string[] below = Windows ? ["", "bin/x64", "bin/x86_64", "bin"] : ["", "lib64", "lib", "targets/x86_64-linux/lib"];
        return below.Select(folder => Path.Combine(root, folder)).Where(Directory.Exists);
    }

    private IEnumerable<string> FoldersOfConda(string root) =>
        (Windows ? new[] { "Library/bin", "Library/bin/x64" } : ["lib"]).Select(folder => Path.Combine(root, folder)).Where(Directory.Exists);

    /// <summary>Library folders of NVIDIA's wheels: one folder for CUDA 13, one a library for CUDA 12.</summary>
    private IEnumerable<string> FoldersOfPip(string site)
    {
        string nvidia = Path.Combine(site, "nvidia");
        List<string> folders = [];
        foreach (int major in CudaLibraryNames.Majors)
        {
            folders.Add(Path.Combine(nvidia, FormattableString.Invariant($"cu{major}"), Windows ? "bin/x86_64" : "lib"));
        }

        folders.AddRange(PipPackages.Select(package => Path.Combine(nvidia, package, Windows ? "bin" : "lib")));
        return folders.Where(Directory.Exists);
    }

    private IEnumerable<string> SitesOf(string environment)
    {
        if (Windows)
        {
            return FoldersOfPip(Path.Combine(environment, "Lib", "site-packages"));
        }

        string lib = Path.Combine(environment, "lib");
        return Directory.Exists(lib)
            ? Directory.EnumerateDirectories(lib, "python3*").Order(StringComparer.Ordinal).SelectMany(python => FoldersOfPip(Path.Combine(python, "site-packages")))
            : [];
    }

    private static IReadOnlyList<string> AskPython()
    {
        ProcessStartInfo start = new(OperatingSystem.IsWindows() ? "python" : "python3")
        {
            ArgumentList = { "-c", "import site,sysconfig;print('\\n'.join([sysconfig.get_paths()['purelib'],site.getusersitepackages()]+site.getsitepackages()))" },
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
        };
        try
        {
            using Process python = Process.Start(start)!;
            Task<string> output = python.StandardOutput.ReadToEndAsync();
            Task<string> errors = python.StandardError.ReadToEndAsync();
            if (!python.WaitForExit(TimeSpan.FromSeconds(5)))
            {
                python.Kill(entireProcessTree: true);
                return [];
            }

            _ = errors.Result;
            return [.. output.Result.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Distinct()];
        }
        catch (Win32Exception)
        {
            // No Python on the path: there are no packages of it either.
            return [];
        }
    }
}
