namespace Stig.Interop.Cuda.Loading;

/// <summary>A library in use.</summary>
/// <param name="Handle">Handle of the operating system's loader.</param>
/// <param name="Path">Where it came from.</param>
internal sealed record LoadedLibrary(nint Handle, string Path);

/// <summary>One thing that was tried while looking for a library.</summary>
/// <param name="Library">The library, for people.</param>
/// <param name="Place">File, name or place.</param>
/// <param name="Outcome">What came of it.</param>
internal sealed record LoadAttempt(string Library, string Place, string Outcome);

/// <summary>
/// Finds and loads the CUDA libraries, each when it is first needed. All of them come from one CUDA major that the driver runs.
/// A failure is not remembered: the next call looks again.
/// </summary>
internal sealed class CudaLibraryLoader(CudaSearch search, NativeLoader native)
{
    /// <summary>The libraries whose file names carry the CUDA major.</summary>
    private static readonly CudaLibrary[] OfMajor = [CudaLibrary.BlasLt, CudaLibrary.Blas, CudaLibrary.Fft];

    private const string Loaded = "loaded";

    private readonly Lock gate = new();
    private readonly Dictionary<CudaLibrary, LoadedLibrary> loaded = [];
    private readonly Dictionary<string, nint> bySystem = [];
    private readonly List<LoadAttempt> attempts = [];
    private int major;

    /// <summary>Everything that was tried so far.</summary>
    internal IReadOnlyList<LoadAttempt> Attempts
    {
        get
        {
            lock (gate)
            {
                return [.. attempts];
            }
        }
    }

    /// <summary>CUDA major of the libraries; 0 before one of them was loaded.</summary>
    internal int Major => major;

    /// <summary>A library that is loaded already.</summary>
    internal LoadedLibrary? Find(CudaLibrary library)
    {
        lock (gate)
        {
            return loaded.GetValueOrDefault(library);
        }
    }

    /// <summary>Handle of a library, which is loaded if that has not happened.</summary>
    /// <exception cref="CudaUnavailableException">It is missing, of the wrong version, or lacks functions.</exception>
    internal nint Load(CudaLibrary library)
    {
        lock (gate)
        {
            if (library != CudaLibrary.Driver)
            {
                ChooseMajor();
            }

            if (loaded.TryGetValue(library, out LoadedLibrary? present))
            {
                return present.Handle;
            }

            attempts.RemoveAll(a => a.Library == CudaLibraryNames.Title(library));
            LoadedLibrary result = library switch
            {
                CudaLibrary.Driver => LoadDriver(),
                CudaLibrary.Dnn => LoadDnn(),
                _ => LoadOfMajor(library),
            };
            RequireSymbols(library, result);
            loaded.Add(library, result);
            return result.Handle;
        }
    }

    private LoadedLibrary LoadDriver()
    {
        string file = CudaLibraryNames.File(CudaLibrary.Driver, 0, search.Windows);
        foreach (SearchPlace place in search.DriverPlaces())
        {
            if (TryPlace(CudaLibrary.Driver, place, file) is { } found)
            {
                // Before its functions are looked for: an old driver lacks some, and its age is the better message.
                CudaDriver.RequireVersion(native.DriverVersion(found.Handle));
                return found;
            }
        }

        throw new CudaUnavailableException(
            $"The NVIDIA driver was not found ({file}).", Tried(CudaLibrary.Driver), "Install the driver (in a container: start it with GPU access).");
    }

    private LoadedLibrary LoadOfMajor(CudaLibrary library)
    {
        if (library == CudaLibrary.Blas)
        {
            // From the same folder and before cuBLAS: otherwise its own dependency may bring in a stray one of the system.
            _ = Load(CudaLibrary.BlasLt);
        }

        string file = CudaLibraryNames.File(library, major, search.Windows);
        foreach (SearchPlace place in search.Places())
        {
            if (TryPlace(library, place, file) is { } found)
            {
                return found;
            }
        }

        throw new CudaUnavailableException(
            $"{CudaLibraryNames.Title(library)} of CUDA {major} was not found ({file}).{OtherMajor(library)}", Tried(library), Remedy(major));
    }

    private LoadedLibrary LoadDnn()
    {
        // cuDNN asks for these by name while it runs; what is loaded already is what it gets.
        _ = Load(CudaLibrary.BlasLt);
        _ = Load(CudaLibrary.Blas);
        PreloadRuntimeCompiler();

        string title = CudaLibraryNames.Title(CudaLibrary.Dnn);
        string file = CudaLibraryNames.File(CudaLibrary.Dnn, major, search.Windows);
        List<string> problems = [];
        foreach (SearchPlace place in search.Places())
        {
            if (place.Folder is { } folder && File.Exists(Path.Combine(folder, file)))
            {
                if (TryDnn(folder, file, problems) is { } found)
                {
                    return found;
                }
            }
            else if (place.IsSystemLoader)
            {
                // Only where the loader knows the first part is the rest worth a word.
                if (TryLoad(title, CudaLibraryNames.DnnPart(CudaLibraryNames.DnnParts[0], search.Windows)) is { } first)
                {
                    native.Free(first);
                    if (TryDnn(null, file, problems) is { } found)
                    {
                        return found;
                    }
                }
            }
            else
            {
                Note(title, place, file);
            }
        }

        string old = CudaLibraryNames.OldDnn(search.Windows);
        SearchPlace? oldPlace = search.Places().FirstOrDefault(p => p.Folder is { } f && File.Exists(Path.Combine(f, old)));
        if (problems.Count == 0 && oldPlace is not null)
        {
            problems.Add($"cuDNN 8 was found ({Path.Combine(oldPlace.Folder!, old)}), but cuDNN 9 is needed");
        }

        string reason = problems.Count > 0 ? string.Join("; ", problems) : $"it was not found ({file})";
        throw new CudaUnavailableException(
            $"cuDNN 9 cannot be used: {reason}.", Tried(CudaLibrary.Dnn),
            $"Install cuDNN 9 for CUDA {major} (pip package nvidia-cudnn-cu{major}, or NVIDIA's packages), or name its folder in {CudaSearch.PathVariable}.");
    }

    /// <summary>
    /// Loads cuDNN from one folder (null: by bare names), its parts first: with one of them absent, cuDNN would end the process
    /// at the first call.
    /// </summary>
    private LoadedLibrary? TryDnn(string? folder, string file, List<string> problems)
    {
        string title = CudaLibraryNames.Title(CudaLibrary.Dnn);
        string InFolder(string name) => folder is null ? name : Path.Combine(folder, name);
        List<nint> handles = [];
        foreach (string part in CudaLibraryNames.DnnParts.Select(p => CudaLibraryNames.DnnPart(p, search.Windows)).Append(file))
        {
            if (TryLoad(title, InFolder(part)) is not { } handle)
            {
                problems.Add($"{InFolder(part)}, a part of it, is missing or cannot be loaded ({attempts[^1].Outcome})");
                handles.ForEach(native.Free);
                return null;
            }

            handles.Add(handle);
        }

        string path = folder is null ? native.PathOf(file) : InFolder(file);
        long version = native.CallVersion(handles[^1], "cudnnGetVersion");
        long built = native.CallVersion(handles[^1], "cudnnGetCudartVersion") / 1000;
        string? problem =
            version < 90000 ? $"{path} is cuDNN {Versions.OfDnn(version)}, but cuDNN 9 is needed"
            : built != major ? $"{path} was built for CUDA {built}, but cuBLAS ({loaded[CudaLibrary.Blas].Path}) is of CUDA {major}; all libraries must be of one CUDA major"
            : null;
        if (problem is null)
        {
            return new LoadedLibrary(handles[^1], path);
        }

        problems.Add(problem);
        attempts.Add(new LoadAttempt(title, path, problem));
        handles.ForEach(native.Free);
        return null;
    }

    /// <summary>Loads what cuDNN's and cuFFT's kernels compiled at run time need, where it is to be had; without it those kernels are not chosen.</summary>
    private void PreloadRuntimeCompiler()
    {
        foreach (string file in new[] { CudaLibraryNames.NvJitLink(major, search.Windows), CudaLibraryNames.Nvrtc(major, search.Windows) })
        {
            foreach (SearchPlace place in search.Places().Where(p => p.Folder is not null && File.Exists(Path.Combine(p.Folder, file))))
            {
                foreach (string builtins in Directory.EnumerateFiles(place.Folder!, CudaLibraryNames.NvrtcBuiltins(major, search.Windows)))
                {
                    _ = TryLoad("NVRTC", builtins);
                }

                if (TryLoad("NVRTC", Path.Combine(place.Folder!, file)) is not null)
                {
                    break;
                }
            }
        }
    }

    /// <summary>
    /// Chooses the CUDA major for all libraries: the first of which cuBLASLt, cuBLAS and cuFFT have all been met on the way through the
    /// places, the newer of two in the same place. Where no set is complete, the one with the most libraries. When the driver runs
    /// several majors, cuDNN decides between complete sets: it alone has the same file name in every CUDA, so only its loading tells.
    /// </summary>
    private void ChooseMajor()
    {
        if (major != 0)
        {
            return;
        }

        int driver = native.DriverVersion(Load(CudaLibrary.Driver)) / 1000;

        // A driver that does not tell its version (the toolkit's stub) is refused when it is initialised.
        int[] candidates = [.. CudaLibraryNames.Majors.Where(m => m <= driver || driver == 0)];
        int first = FirstComplete(candidates);
        foreach (int candidate in candidates.Where(m => m == first || IsComplete(m)).OrderBy(m => m == first ? 0 : 1))
        {
            major = candidate;
            if (candidates.Length == 1 || TryLoadDnn())
            {
                return;
            }

            UnloadAllButDriver();
        }

        major = first;
    }

    private int FirstComplete(int[] candidates)
    {
        Dictionary<int, HashSet<CudaLibrary>> met = candidates.ToDictionary(m => m, _ => new HashSet<CudaLibrary>());
        foreach (SearchPlace place in search.Places())
        {
            foreach (int candidate in candidates)
            {
                met[candidate].UnionWith(OfMajor.Where(library => !met[candidate].Contains(library) && Holds(place, library, candidate)));
                if (met[candidate].Count == OfMajor.Length)
                {
                    return candidate;
                }
            }
        }

        return candidates.MaxBy(m => met[m].Count);
    }

    private bool IsComplete(int candidate)
    {
        SearchPlace[] places = [.. search.Places()];
        return OfMajor.All(library => places.Any(place => Holds(place, library, candidate)));
    }

    private bool TryLoadDnn()
    {
        try
        {
            _ = Load(CudaLibrary.Dnn);
            return true;
        }
        catch (CudaUnavailableException)
        {
            // Its absence is no failure before it is needed; then the search is made again and its message shown.
            return false;
        }
    }

    private void UnloadAllButDriver()
    {
        // What the system's loader found is in both lists.
        HashSet<nint> handles = [.. bySystem.Where(s => s.Key != CudaLibraryNames.File(CudaLibrary.Driver, 0, search.Windows)).Select(s => s.Value)];
        foreach (CudaLibrary library in loaded.Keys.Where(l => l != CudaLibrary.Driver).ToArray())
        {
            handles.Add(loaded[library].Handle);
            loaded.Remove(library);
        }

        foreach (string file in bySystem.Where(s => handles.Contains(s.Value)).Select(s => s.Key).ToArray())
        {
            bySystem.Remove(file);
        }

        foreach (nint handle in handles)
        {
            native.Free(handle);
        }
    }

    private bool Holds(SearchPlace place, CudaLibrary library, int ofMajor)
    {
        string file = CudaLibraryNames.File(library, ofMajor, search.Windows);
        return place.Folder is { } folder
            ? File.Exists(Path.Combine(folder, file))
            : place.IsSystemLoader && SystemLoad(CudaLibraryNames.Title(library), file) is not null;
    }

    /// <summary>A sentence about a copy of another major, for a library that is missing in the chosen one.</summary>
    private string OtherMajor(CudaLibrary library)
    {
        foreach (int other in CudaLibraryNames.Majors.Where(m => m != major))
        {
            string file = CudaLibraryNames.File(library, other, search.Windows);
            if (search.Places().FirstOrDefault(p => p.Folder is { } f && File.Exists(Path.Combine(f, file))) is { } place)
            {
                string with = string.Join(" and ", loaded.Where(l => OfMajor.Contains(l.Key)).OrderBy(l => l.Key).Select(l => l.Value.Path));
                return $" {Path.Combine(place.Folder!, file)} is of CUDA {other}, but "
                    + (with.Length > 0 ? $"{with} of CUDA {major}" : $"the driver and the other libraries call for CUDA {major}")
                    + "; all libraries must be of one CUDA major.";
            }
        }

        return "";
    }

    private LoadedLibrary? TryPlace(CudaLibrary library, SearchPlace place, string file)
    {
        string title = CudaLibraryNames.Title(library);
        if (place.IsSystemLoader)
        {
            return SystemLoad(title, file) is { } found ? new LoadedLibrary(found, native.PathOf(file)) : null;
        }

        if (place.Folder is not { } folder || !File.Exists(Path.Combine(folder, file)))
        {
            Note(title, place, file);
            return null;
        }

        string path = Path.Combine(folder, file);
        return TryLoad(title, path) is { } handle ? new LoadedLibrary(handle, path) : null;
    }

    private nint? SystemLoad(string title, string file)
    {
        if (bySystem.TryGetValue(file, out nint present))
        {
            return present;
        }

        if (TryLoad(title, file) is not { } handle)
        {
            return null;
        }

        bySystem.Add(file, handle);
        return handle;
    }

    private nint? TryLoad(string title, string file)
    {
        try
        {
            nint handle = native.Load(file);
            attempts.Add(new LoadAttempt(title, file, Loaded));
            return handle;
        }
        catch (Exception e) when (e is DllNotFoundException or BadImageFormatException)
        {
            attempts.Add(new LoadAttempt(title, file, Reason(e.Message, file)));
            return null;
        }
    }

    /// <summary>The loader's own words: .NET puts a line of advice before them, and they repeat the file.</summary>
    private static string Reason(string message, string file)
    {
        string[] lines = message.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        string words = lines.Length > 1 ? string.Join(", ", lines.Skip(1).Distinct()) : message;
        return words.StartsWith(file + ": ", StringComparison.Ordinal) ? words[(file.Length + 2)..] : words;
    }

    private void Note(string title, SearchPlace place, string file) =>
        attempts.Add(place.Folder is { } folder
            ? new LoadAttempt(title, Path.Combine(folder, file), "not there")
            : new LoadAttempt(title, place.Origin, place.Absence ?? ""));

    private void RequireSymbols(CudaLibrary library, LoadedLibrary candidate)
    {
        string[] missing = [.. CudaLibraryNames.EntryPoints(library).Where(symbol => !native.HasSymbol(candidate.Handle, symbol))];
        if (missing.Length > 0)
        {
            throw new CudaUnavailableException(
                $"{CudaLibraryNames.Title(library)} ({candidate.Path}) lacks {string.Join(", ", missing)}: it is too old, or not NVIDIA's.", Tried(library),
                library == CudaLibrary.Driver ? CudaDriver.DriverRemedy : Remedy(major));
        }
    }

    private string Tried(CudaLibrary library) =>
        string.Join("; ", attempts.Where(a => a.Library == CudaLibraryNames.Title(library) && a.Outcome != Loaded).Select(a => $"{a.Place}: {a.Outcome}").Distinct());

    private static string Remedy(int major) =>
        $"Install the libraries of CUDA {major} (a toolkit, your distribution's packages, or pip packages such as those that PyTorch brings), or name their folder in {CudaSearch.PathVariable}.";
}
