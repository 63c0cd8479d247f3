using System.IO.Enumeration;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Stig.Model.Imaging;

namespace Stig.Model.Refinement;

/// <summary>An input as it was found.</summary>
/// <param name="Path">The path to open it by.</param>
/// <param name="Name">Its name below what was named, with '/' between parts.</param>
/// <param name="OutputName">The name of its output below the output folder.</param>
public readonly record struct InputFile(string Path, string Name, string OutputName)
{
    /// <summary>Why it cannot be refined, known without reading it; null otherwise.</summary>
    public RefineItemException? Problem { get; init; }
}

/// <summary>What inputs there are.</summary>
public sealed record InputOptions
{
    /// <summary>Files, and folders that are searched with everything below them.</summary>
    public IReadOnlyList<string> Paths { get; init; } = [];

    /// <summary>A file with the name of an input a line; "-" for standard input; null for none.</summary>
    public string? ListFile { get; init; }

    /// <summary>Whether names in the list end in a zero byte instead of an end of line, as <c>find -print0</c> writes them.</summary>
    public bool ZeroTerminated { get; init; }

    /// <summary>Whether inputs are tar files of images instead of images.</summary>
    public bool Tar { get; init; }

    /// <summary>Where the outputs go.</summary>
    public required string OutputFolder { get; init; }

    /// <summary>Decides on the extensions of outputs.</summary>
    public RefineCodec Codec { get; init; } = new();
}

/// <summary>
/// Finds inputs as a stream, in an order that depends on their names alone, and gives each the name of its output. Memory: the names of
/// one folder; where there are several places or a list, 30 bytes a name.
/// </summary>
/// <remarks>
/// <para>Names. An input of a folder is called by its path below that folder, a named file by its plain name, a listed one by its path
/// below the current folder, or by its whole path without the root where it lies elsewhere.</para>
/// <para>Outputs. The input's name with the extension of the output's format. Where that would give several inputs of one folder (or of
/// the named files, or of the list file) the same output, or give an input the name of a folder beside it, each of them keeps its whole name
/// and the extension is added, unless it has it already: <c>a.jpg</c> and <c>a.png</c> become <c>a.jpg.png</c> and <c>a.png</c>. Inputs whose
/// outputs collide all the same, because they come from different places, are refused before anything is computed; from standard input, where
/// nothing is known beforehand, the later one fails. An input whose output would be a folder of other outputs fails.</para>
/// <para>No output replaces an input. Outputs lie in the output folder and in no link there. Where inputs lie there too, those that are named,
/// and folders that are named, are compared with the outputs. Any other, which a list or a link leads to, fails as an output of an earlier run;
/// if the folder is none that a run has made, all inputs are refused before anything is computed, and so is standard input.</para>
/// </remarks>
public sealed class InputListing
{
    // Of a part of a path, on the file systems of Linux.
    private const int MostNameBytes = 255;

    private const string Exposed = "lies in the output folder, where an output could replace it. Choose another output folder.";

    private readonly InputOptions options;
    private readonly string outputRoot;
    private readonly IReadOnlyList<string> files;
    private readonly IReadOnlyList<string> folders;
    private readonly HashSet<string> fileInputs;
    private readonly IReadOnlyList<string> innerFolders;
    private readonly HashSet<ulong> sharedOutputs = [];
    private readonly HashSet<ulong> folderOutputs = [];
    private readonly HashSet<ulong> duplicates = [];
    private long foreign;

    private InputListing(InputOptions options)
    {
        this.options = options;
        outputRoot = Canonical(options.OutputFolder);
        files = [.. options.Paths.Where(File.Exists)];
        folders = [.. options.Paths.Where(path => !File.Exists(path))];

        // A link is an input under its own name, which must not become another file, and so is what it leads to.
        fileInputs = [.. files.SelectMany(file =>
            (string[])[Path.Combine(Canonical(Path.GetDirectoryName(Path.GetFullPath(file))!), Path.GetFileName(file)), Canonical(file)])];
        innerFolders = [.. folders.Select(Canonical).Where(folder => IsIn(folder, outputRoot))];
    }

    /// <summary>Files that are no inputs by their extensions, of those that the latest enumeration has passed so far.</summary>
    public long Foreign => Volatile.Read(ref foreign);

    /// <summary>Whether the inputs can be listed a second time, to count them.</summary>
    public bool IsRepeatable => options.ListFile != "-";

    /// <summary>What is searched, as a message names it.</summary>
    public string Places => string.Join(", ", options.ListFile is null ? options.Paths : options.Paths.Append(TheList));

    /// <summary>The extensions looked for in folders.</summary>
    public IReadOnlyList<string> Extensions => options.Tar ? [".tar"] : ImageFiles.Extensions;

    private string TheList => options.ListFile == "-" ? "the list on standard input" : $"the list {options.ListFile}";

    /// <summary>Looks at what is named and refuses what can be seen beforehand.</summary>
    /// <param name="options">The inputs.</param>
    /// <param name="cancellation">Ends the look.</param>
    /// <exception cref="ImageDataException">A path is missing, an input would be overwritten, or two inputs have the same output; the message
    /// names what and the remedy.</exception>
    public static async Task<InputListing> OpenAsync(InputOptions options, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        var listing = new InputListing(options);
        foreach (string folder in listing.folders)
        {
            listing.CheckFolder(folder);
        }

        if (options.ListFile is string list && list != "-" && !File.Exists(list))
        {
            throw new ImageDataException($"There is no list {list}. Check the name.");
        }

        listing.CheckFiles();
        await listing.CheckPlacesAsync(cancellation).ConfigureAwait(false);
        await listing.SurveyAsync(cancellation).ConfigureAwait(false);
        return listing;
    }

    /// <summary>The inputs.</summary>
    /// <param name="cancellation">Ends the enumeration.</param>
    public async IAsyncEnumerable<InputFile> ListAsync([EnumeratorCancellation] CancellationToken cancellation = default)
    {
        Volatile.Write(ref foreign, 0);
        HashSet<ulong> seen = [];
        PlaceFinder places = new();
        await foreach (InputFile input in AllAsync(cancellation).ConfigureAwait(false))
        {
            // Only names known to come twice are remembered.
            ulong output = Key(input.OutputName);
            if (!duplicates.Contains(output) || seen.Add(output))
            {
                yield return input.Problem is null && ProblemOf(input, output, places) is string problem ? Failed(input, problem) : input;
            }
        }
    }

    /// <summary>The number of inputs of a shard; lists them once more.</summary>
    /// <param name="shard">The part to count.</param>
    /// <param name="cancellation">Ends the count.</param>
    /// <exception cref="OperationCanceledException">It was ended.</exception>
    public async Task<long> CountAsync(Shard shard, CancellationToken cancellation = default)
    {
        long count = 0;

        // Beside the listing itself, whose counter of other files stays as it is.
        await foreach (InputFile input in ((InputListing)MemberwiseClone()).ListAsync(cancellation).ConfigureAwait(false))
        {
            cancellation.ThrowIfCancellationRequested();
            count += shard.Holds(input.Name) ? 1 : 0;
        }

        return count;
    }

    /// <summary>Outputs of inputs that stand together, so that no two are the same, nor any that of a folder if its whole name is not.</summary>
    /// <param name="names">Different names, each with the extension of an image.</param>
    /// <param name="codec">Decides on extensions.</param>
    /// <param name="folders">Names of folders beside them.</param>
    internal static string[] OutputNames(IReadOnlyList<string> names, RefineCodec codec, IReadOnlySet<string>? folders = null)
    {
        string[] outputs = [.. names.Select(name => ByStem(name, codec))];
        bool[] whole = new bool[names.Count];
        Dictionary<string, int> owner = new(names.Count);
        for (bool again = true; again;)
        {
            // Ends: each round but the last makes at least one name whole, and whole names never collide.
            again = false;
            owner.Clear();
            for (int i = 0; i < names.Count; i++)
            {
                bool isFolder = folders?.Contains(outputs[i]) == true;
                if (isFolder || !owner.TryAdd(outputs[i], i))
                {
                    foreach (int one in isFolder ? [i] : (int[])[i, owner[outputs[i]]])
                    {
                        again |= !whole[one];
                        whole[one] = true;
                    }
                }
            }

            for (int i = 0; again && i < names.Count; i++)
            {
                outputs[i] = whole[i] ? ByWholeName(names[i], codec) : outputs[i];
            }
        }

        return outputs;
    }

    private static string ByStem(string name, RefineCodec codec)
    {
        string extension = codec.ExtensionOf(name);
        return name.EndsWith(extension, StringComparison.Ordinal) ? name : Path.ChangeExtension(name, extension);
    }

    // One to one for names with extensions of images: what ends in two of them got the second one here.
    private static string ByWholeName(string name, RefineCodec codec)
    {
        string extension = codec.ExtensionOf(name);
        bool has = Path.GetExtension(name).Equals(extension, StringComparison.OrdinalIgnoreCase);
        return has && !IsImage(Path.GetFileNameWithoutExtension(name)) ? name : name + extension;
    }

    // Within this process only, so speed decides.
    private static ulong Key(ReadOnlySpan<char> text) => ContentHash.Compute(MemoryMarshal.AsBytes(text));

    private static string Canonical(string path) => ImageFiles.Canonical(Path.GetFullPath(path), 0);

    // Both canonical; a folder is in itself.
    private static bool IsIn(string path, string folder) =>
        path.StartsWith(folder, StringComparison.Ordinal)
        && (path.Length == folder.Length || Path.EndsInDirectorySeparator(folder) || path[folder.Length] == Path.DirectorySeparatorChar);

    private static InputFile Failed(InputFile input, string problem) =>
        input with { Problem = new RefineItemException(RefineCause.Name, $"{input.Path}: {problem}") };

    private static string NamesFolder(string output) =>
        $"its output {output} would have the name of a folder. Rename one of them, or refine it into another folder.";

    private static bool IsImage(ReadOnlySpan<char> name)
    {
        ReadOnlySpan<char> extension = Path.GetExtension(name);
        foreach (string known in ImageFiles.Extensions)
        {
            if (extension.Equals(known, StringComparison.OrdinalIgnoreCase))
            {
                return true;
            }
        }

        return false;
    }

    private bool IsInput(ReadOnlySpan<char> name) =>
        options.Tar ? Path.GetExtension(name).Equals(".tar", StringComparison.OrdinalIgnoreCase) : IsImage(name);

    private void CheckFolder(string folder)
    {
        if (!Directory.Exists(folder))
        {
            throw new ImageDataException($"There is no file or folder {folder}. Check the name.");
        }

        if (Canonical(folder) == outputRoot)
        {
            throw new ImageDataException($"The output folder {options.OutputFolder} is the folder of the inputs. Choose another output folder.");
        }
    }

    private void CheckFiles()
    {
        foreach (InputFile file in NamedFiles())
        {
            string output = Path.GetFullPath(file.OutputName, outputRoot);
            if (fileInputs.Contains(output))
            {
                throw new ImageDataException($"Refining {file.Path} would overwrite the input {output}. Choose another output folder.");
            }
        }
    }

    // In a folder that a run has made outputs may replace whatever there is; elsewhere that might be an input.
    private async Task CheckPlacesAsync(CancellationToken cancellation)
    {
        if (!OutputFolder.IsForeign(outputRoot))
        {
            return;
        }

        if (options.ListFile == "-")
        {
            throw new ImageDataException($"The output folder {options.OutputFolder} holds files that no run has made, and standard input could "
                + "name one of them after it has been replaced. Choose another output folder, or use --list.");
        }

        PlaceFinder places = new();
        await foreach (InputFile input in KnownAsync(cancellation).ConfigureAwait(false))
        {
            if (IsExposed(places.Of(input.Path)))
            {
                throw new ImageDataException($"{input.Path} {Exposed}");
            }
        }
    }

    // What can be told of an input without reading it.
    private string? ProblemOf(InputFile input, ulong output, PlaceFinder places) =>
        Encoding.UTF8.GetByteCount(input.OutputName.AsSpan(input.OutputName.LastIndexOf('/') + 1)) > MostNameBytes
            ? $"the name of its output would have more than {MostNameBytes} bytes. Rename it."
        : OutputFolder.IsReserved(input.OutputName) ? $"its output {input.OutputName} would have the name of a file of the run's own. Rename it."
        : folderOutputs.Contains(output) ? NamesFolder(input.OutputName)
        : Replaces(input.OutputName) ? $"its output {input.OutputName} would replace an input or lie among them. Choose another output folder."
        : IsExposed(places.Of(input.Path)) ? Exposed
        : null;

    private bool Replaces(string output)
    {
        if (fileInputs.Count == 0 && innerFolders.Count == 0)
        {
            return false;
        }

        string path = Path.GetFullPath(output, outputRoot);
        return fileInputs.Contains(path) || innerFolders.Any(folder => IsIn(path, folder));
    }

    // Whether outputs might replace it: whatever lies where outputs go, but those inputs with which outputs are compared.
    private bool IsExposed(string place) =>
        IsIn(place, outputRoot) && !fileInputs.Contains(place) && !innerFolders.Any(folder => IsIn(place, folder));

    // Where names come from one folder, the rule for names suffices. Otherwise all are read once, as hashes.
    private async Task SurveyAsync(CancellationToken cancellation)
    {
        bool clear = true;
        if (options.ListFile is not (null or "-"))
        {
            // One quick look suffices for a list alone, if no two of its names differ in nothing but their extensions. Otherwise whole names
            // are given until that brings no further ones together.
            for (bool again = true; again;)
            {
                (again, clear) = (false, true);
                OutputSet outputs = new((int)Math.Min(new FileInfo(options.ListFile).Length / 64, 1 << 24));
                await foreach (InputFile input in ListedAsync(cancellation).ConfigureAwait(false))
                {
                    switch (outputs.Add(input.OutputName, Key(input.Path), out ulong output))
                    {
                        case Taken.BySame:
                            duplicates.Add(output);
                            break;
                        case not Taken.No:
                            clear = false;
                            again |= sharedOutputs.Add(output);
                            break;
                    }
                }
            }
        }

        if (clear && files.Count == 0 && folders.Count + (options.ListFile is null or "-" ? 0 : 1) <= 1)
        {
            return;
        }

        OutputSet all = new();
        HashSet<ulong> collisions = [];
        await foreach (InputFile input in KnownAsync(cancellation).ConfigureAwait(false))
        {
            Taken taken = all.Add(input.OutputName, Key(Path.GetFullPath(input.Path)), out ulong output);
            (taken switch
            {
                Taken.BySame => duplicates,
                Taken.ByOther => collisions,
                Taken.ByFolder => folderOutputs,
                _ => null,
            })?.Add(output);
        }

        Dictionary<string, string> named = [];
        await foreach (InputFile input in (collisions.Count > 0 ? KnownAsync(cancellation) : Nothing()).ConfigureAwait(false))
        {
            if (collisions.Contains(Key(input.OutputName)) && !named.TryAdd(input.OutputName, input.Path)
                && named[input.OutputName] != input.Path)
            {
                throw new ImageDataException($"{named[input.OutputName]} and {input.Path} would both be written to "
                    + $"{Path.Combine(options.OutputFolder, input.OutputName)}. Refine them into different folders.");
            }
        }
    }

    private static async IAsyncEnumerable<InputFile> Nothing()
    {
        await Task.CompletedTask.ConfigureAwait(false);
        yield break;
    }

    private async IAsyncEnumerable<InputFile> AllAsync([EnumeratorCancellation] CancellationToken cancellation)
    {
        OutputSet? outputs = options.ListFile == "-" ? new() : null;
        await foreach (InputFile input in KnownAsync(cancellation).ConfigureAwait(false))
        {
            outputs?.Add(input.OutputName, Key(Path.GetFullPath(input.Path)), out _);
            yield return input;
        }

        if (outputs is null)
        {
            yield break;
        }

        await foreach (InputFile input in ListedAsync(cancellation).ConfigureAwait(false))
        {
            Taken taken = outputs.Add(input.OutputName, Key(input.Path), out _);
            if (taken != Taken.BySame)
            {
                yield return taken == Taken.No
                    ? input
                    : Failed(input, $"another input has its output {input.OutputName}, or needs a folder there. Refine it into another folder.");
            }
        }
    }

    // Everything but standard input.
    private async IAsyncEnumerable<InputFile> KnownAsync([EnumeratorCancellation] CancellationToken cancellation)
    {
        foreach (InputFile file in NamedFiles())
        {
            yield return file;
        }

        foreach (string folder in folders)
        {
            foreach (InputFile file in InFolder(folder, cancellation))
            {
                yield return file;
            }
        }

        if (options.ListFile is not (null or "-"))
        {
            await foreach (InputFile file in ListedAsync(cancellation).ConfigureAwait(false))
            {
                yield return file;
            }
        }
    }

    private IEnumerable<InputFile> NamedFiles()
    {
        string[] paths = [.. files.DistinctBy(Path.GetFullPath)];
        string[] names = [.. paths.Select(path => Path.GetFileName(path)!)];

        // Two files of one name from different folders get one output here; the survey names them.
        string[] different = [.. names.Distinct()];
        Dictionary<string, string> outputs = different
            .Zip(options.Tar ? different : OutputNames(different, options.Codec)).ToDictionary(pair => pair.First, pair => pair.Second);
        return paths.Zip(names, (path, name) => new InputFile(path, name, outputs[name]));
    }

    private async IAsyncEnumerable<InputFile> ListedAsync([EnumeratorCancellation] CancellationToken cancellation)
    {
        string here = Directory.GetCurrentDirectory() + Path.DirectorySeparatorChar;
        await foreach (string line in LinesAsync(cancellation).ConfigureAwait(false))
        {
            string full = Path.GetFullPath(line);
            string name = full.StartsWith(here, StringComparison.Ordinal) ? full[here.Length..] : full[Path.GetPathRoot(full)!.Length..];
            name = Path.DirectorySeparatorChar == '/' ? name : name.Replace(Path.DirectorySeparatorChar, '/');
            string output = options.Tar ? name : ByStem(name, options.Codec);
            if (!options.Tar && sharedOutputs.Contains(Key(output)))
            {
                output = ByWholeName(name, options.Codec);
            }

            yield return new InputFile(full, name, output);
        }
    }

    private async IAsyncEnumerable<string> LinesAsync([EnumeratorCancellation] CancellationToken cancellation)
    {
        char end = options.ZeroTerminated ? '\0' : '\n';
        char[] buffer = new char[1 << 14];
        StringBuilder name = new();
        using StreamReader reader = OpenList();
        for (int read; (read = await ReadAsync(reader, buffer, cancellation).ConfigureAwait(false)) > 0;)
        {
            if (end != '\0' && buffer.AsSpan(0, read).Contains('\0'))
            {
                throw new ImageDataException($"{TheList} holds zero bytes, as find -print0 writes them. Give --null with it.");
            }

            for (int from = 0; from < read;)
            {
                int length = Array.IndexOf(buffer, end, from, read - from) - from;
                name.Append(buffer, from, length >= 0 ? length : read - from);
                from = length >= 0 ? from + length + 1 : read;
                if (length >= 0 && TakeName() is string line)
                {
                    yield return line;
                }
            }
        }

        if (TakeName() is string last)
        {
            yield return last;
        }

        string? TakeName()
        {
            string text = name.ToString();
            name.Clear();
            text = end == '\n' && text.EndsWith('\r') ? text[..^1] : text;
            return text.Length > 0 ? text : null;
        }
    }

    // A mark of the order of bytes, as some editors write it, belongs to no name.
    private StreamReader OpenList()
    {
        try
        {
            return new StreamReader(
                options.ListFile == "-" ? Console.OpenStandardInput() : File.OpenRead(options.ListFile!), new UTF8Encoding(false), true, 1 << 16);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw UnreadableList(error);
        }
    }

    private async ValueTask<int> ReadAsync(StreamReader reader, Memory<char> buffer, CancellationToken cancellation)
    {
        try
        {
            return await reader.ReadAsync(buffer, cancellation).ConfigureAwait(false);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw UnreadableList(error);
        }
    }

    private ImageDataException UnreadableList(Exception error) =>
        new($"{TheList} cannot be read: {error.Message.TrimEnd('.')}. Check its permissions.", error);

    // Folders one at a time, their entries in ordinal order of the names that they give: that of all inputs is the same as if sorted at once.
    // Links are followed; each folder is read once, however many links lead to it.
    private IEnumerable<InputFile> InFolder(string root, CancellationToken cancellation)
    {
        HashSet<string> visited = [Canonical(root)];
        Stack<IEnumerator<InputFile>> open = new([Entries(root, "").GetEnumerator()]);
        while (open.TryPeek(out IEnumerator<InputFile>? entries))
        {
            cancellation.ThrowIfCancellationRequested();
            if (!entries.MoveNext())
            {
                open.Pop().Dispose();
                continue;
            }

            InputFile entry = entries.Current;
            if (entry.OutputName.Length > 0)
            {
                yield return entry;
                continue;
            }

            string canonical = Canonical(entry.Path);
            if (canonical != outputRoot && IsExposed(canonical))
            {
                yield return Failed(entry with { OutputName = entry.Name }, Exposed);
            }
            else if (canonical != outputRoot && visited.Add(canonical))
            {
                open.Push(Entries(entry.Path, entry.Name).GetEnumerator());
            }
        }
    }

    // Inputs of one folder, and folders in it, which have no output.
    private IEnumerable<InputFile> Entries(string folder, string prefix)
    {
        List<(string Key, bool IsFolder)> entries = [];
        RefineItemException? problem = null;
        try
        {
            entries.AddRange(new FileSystemEnumerable<(string, bool)>(
                folder,
                (ref entry) => entry.IsDirectory ? ($"{entry.FileName}/", true) : (entry.FileName.ToString(), false),
                new EnumerationOptions { AttributesToSkip = 0, IgnoreInaccessible = false }));
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            problem = new RefineItemException(RefineCause.Unreadable, folder.Contains('\uFFFD', StringComparison.Ordinal)
                ? $"{folder}: the folder cannot be read: its name is not UTF-8. Rename it."
                : $"{folder}: the folder cannot be read: {error.Message.TrimEnd('.')}. Check its permissions.", error);
        }

        if (problem is not null)
        {
            yield return new InputFile(folder, prefix.Length > 0 ? prefix : folder, prefix.Length > 0 ? prefix : folder) { Problem = problem };
            yield break;
        }

        int all = entries.Count;
        entries.RemoveAll(entry => !entry.IsFolder && !IsInput(entry.Key));
        Interlocked.Add(ref foreign, all - entries.Count);
        entries.Sort((a, b) => string.CompareOrdinal(a.Key, b.Key));
        string[] names = [.. entries.Where(entry => !entry.IsFolder).Select(entry => entry.Key)];
        HashSet<string> beside = [.. entries.Where(entry => entry.IsFolder).Select(entry => entry.Key[..^1])];
        string[] outputs = options.Tar ? names : OutputNames(names, options.Codec, beside);
        int next = 0;
        foreach ((string key, bool isFolder) in entries)
        {
            if (isFolder)
            {
                yield return new InputFile(Path.Combine(folder, key[..^1]), prefix + key, "");
                continue;
            }

            string output = outputs[next++];
            InputFile input = new(Path.Combine(folder, key), prefix + key, prefix + output);
            yield return beside.Contains(output) ? Failed(input, NamesFolder(input.OutputName)) : input;
        }
    }

    private enum Taken
    {
        /// <summary>By no other.</summary>
        No,

        /// <summary>By the same input, which comes twice.</summary>
        BySame,

        /// <summary>By another input.</summary>
        ByOther,

        /// <summary>One of two outputs would be a folder above the other.</summary>
        ByFolder,
    }

    // Outputs as hashes.
    private sealed class OutputSet(int capacity = 0)
    {
        private readonly Dictionary<ulong, ulong> sources = new(capacity);
        private readonly HashSet<ulong> folders = [];
        private string folder = "";
        private ulong? above;

        /// <param name="name">An output.</param>
        /// <param name="source">The key of its input.</param>
        /// <param name="output">The key of the output that is taken; of two of which one is a folder, that one's.</param>
        public Taken Add(string name, ulong source, out ulong output)
        {
            // Inputs come folder by folder.
            int slash = name.LastIndexOf('/');
            if (!name.AsSpan(0, slash + 1).SequenceEqual(folder))
            {
                (folder, above) = (name[..(slash + 1)], null);
                for (int end = slash; end > 0; end = name.LastIndexOf('/', end - 1))
                {
                    ulong parent = Key(name.AsSpan(0, end));
                    folders.Add(parent);
                    above = sources.ContainsKey(parent) ? parent : above;
                }
            }

            output = Key(name);
            if (folders.Contains(output))
            {
                return Taken.ByFolder;
            }

            if (!sources.TryAdd(output, source))
            {
                return sources[output] == source ? Taken.BySame : Taken.ByOther;
            }

            output = above ?? output;
            return above is null ? Taken.No : Taken.ByFolder;
        }
    }

    // Where paths lead. Inputs come folder by folder, so that links in the path of a folder are looked for once.
    private sealed class PlaceFinder
    {
        private string? folder;
        private string place = "";

        public string Of(string path)
        {
            string full = Path.GetFullPath(path), parent = Path.GetDirectoryName(full) ?? full;
            if (parent != folder)
            {
                (folder, place) = (parent, Canonical(parent));
            }

            string own = Path.Combine(place, Path.GetFileName(full));
            return new FileInfo(own).LinkTarget is null ? own : Canonical(own);
        }
    }
}
