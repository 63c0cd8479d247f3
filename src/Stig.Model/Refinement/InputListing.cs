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
/// one folder; for a list 30 bytes a name.
/// </summary>
/// <remarks>
/// <para>Names. An input of a folder is called by its path below that folder, a named file by its plain name, a listed one by its path
/// below the current folder, or by its whole path without the root where it lies elsewhere.</para>
/// <para>Outputs. The input's name with the extension of the output's format. Where that would give several inputs of one folder (or of
/// the named files, or of the list file) the same output, each of them keeps its whole name and the extension is added, unless it has it
/// already: <c>a.jpg</c> and <c>a.png</c> become <c>a.jpg.png</c> and <c>a.png</c>. Inputs whose outputs collide all the same, because they
/// come from different places, are refused before anything is computed; from standard input, where nothing is known beforehand, the later
/// one fails.</para>
/// </remarks>
public sealed class InputListing
{
    private readonly InputOptions options;
    private readonly string outputRoot;
    private readonly IReadOnlyList<string> files;
    private readonly IReadOnlyList<string> folders;
    private readonly HashSet<ulong> sharedOutputs = [];
    private readonly HashSet<ulong> duplicates = [];
    private long foreign;

    private InputListing(InputOptions options)
    {
        this.options = options;
        outputRoot = ImageFiles.Canonical(Path.GetFullPath(options.OutputFolder), 0);
        files = [.. options.Paths.Where(File.Exists)];
        folders = [.. options.Paths.Where(path => !File.Exists(path))];
    }

    /// <summary>Files that are no inputs by their extensions, of those that the latest enumeration has passed so far.</summary>
    public long Foreign => Volatile.Read(ref foreign);

    /// <summary>Whether the inputs can be listed a second time, to count them.</summary>
    public bool IsRepeatable => options.ListFile != "-";

    /// <summary>What is searched, as a message names it.</summary>
    public string Places => string.Join(", ", options.Paths.Append(options.ListFile switch
    {
        null => "",
        "-" => "the list on standard input",
        string list => $"the list {list}",
    }).Where(place => place.Length > 0));

    /// <summary>The extensions looked for in folders.</summary>
    public IReadOnlyList<string> Extensions => options.Tar ? [".tar"] : ImageFiles.Extensions;

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
        await listing.SurveyAsync(cancellation).ConfigureAwait(false);
        return listing;
    }

    /// <summary>The inputs.</summary>
    /// <param name="cancellation">Ends the enumeration.</param>
    public async IAsyncEnumerable<InputFile> ListAsync([EnumeratorCancellation] CancellationToken cancellation = default)
    {
        Volatile.Write(ref foreign, 0);
        HashSet<ulong> seen = [];
        await foreach (InputFile input in AllAsync(cancellation).ConfigureAwait(false))
        {
            // Only names known to come twice are remembered.
            if (duplicates.Count == 0 || !duplicates.Contains(Key(input.OutputName)) || seen.Add(Key(input.OutputName)))
            {
                yield return input;
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
        await foreach (InputFile input in new InputListing(options).AllAsync(cancellation).ConfigureAwait(false))
        {
            cancellation.ThrowIfCancellationRequested();
            count += shard.Holds(input.Name) ? 1 : 0;
        }

        return count;
    }

    /// <summary>Outputs of inputs that stand together, so that no two are the same.</summary>
    /// <param name="names">Different names, each with the extension of an image.</param>
    /// <param name="codec">Decides on extensions.</param>
    internal static string[] OutputNames(IReadOnlyList<string> names, RefineCodec codec)
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
                if (!owner.TryAdd(outputs[i], i))
                {
                    foreach (int one in (int[])[i, owner[outputs[i]]])
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
    private static ulong Key(string text) => ContentHash.Compute(MemoryMarshal.AsBytes(text.AsSpan()));

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

        if (ImageFiles.Canonical(Path.GetFullPath(folder), 0) == outputRoot)
        {
            throw new ImageDataException($"The output folder {options.OutputFolder} is the folder of the inputs. Choose another output folder.");
        }
    }

    private void CheckFiles()
    {
        HashSet<string> sources = [.. files.Select(Path.GetFullPath)];
        foreach (InputFile file in NamedFiles())
        {
            string output = Path.GetFullPath(Path.Combine(options.OutputFolder, file.OutputName));
            if (sources.Contains(output))
            {
                throw new ImageDataException($"Refining {file.Path} would overwrite the input {output}. Choose another output folder.");
            }
        }
    }

    // Where names come from one folder, the rule for names suffices. Otherwise all are read once, as hashes.
    private async Task SurveyAsync(CancellationToken cancellation)
    {
        if (options.ListFile is not (null or "-"))
        {
            // One quick look suffices for a list alone, if no two of its names differ in nothing but their extensions.
            Dictionary<ulong, ulong> paths = new((int)Math.Min(new FileInfo(options.ListFile).Length / 64, 1 << 24));
            await foreach (InputFile input in ListedAsync(cancellation).ConfigureAwait(false))
            {
                (ulong output, ulong path) = (Key(input.OutputName), Key(input.Path));
                if (!paths.TryAdd(output, path))
                {
                    (paths[output] == path ? duplicates : sharedOutputs).Add(output);
                }
            }

            if (sharedOutputs.Count == 0 && folders.Count == 0 && files.Count == 0)
            {
                return;
            }
        }
        else if (folders.Count <= 1 && files.Count == 0)
        {
            return;
        }

        Dictionary<ulong, ulong> sources = [];
        HashSet<ulong> collisions = [];
        await foreach (InputFile input in KnownAsync(cancellation).ConfigureAwait(false))
        {
            (ulong output, ulong source) = (Key(input.OutputName), Key(Path.GetFullPath(input.Path)));
            if (!sources.TryAdd(output, source))
            {
                (sources[output] == source ? duplicates : collisions).Add(output);
            }
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
        await foreach (InputFile input in KnownAsync(cancellation).ConfigureAwait(false))
        {
            yield return input;
        }

        if (options.ListFile != "-")
        {
            yield break;
        }

        Dictionary<ulong, ulong> sources = [];
        await foreach (InputFile input in ListedAsync(cancellation).ConfigureAwait(false))
        {
            (ulong output, ulong source) = (Key(input.OutputName), Key(input.Path));
            if (sources.TryAdd(output, source))
            {
                yield return input;
            }
            else if (sources[output] != source)
            {
                yield return input with
                {
                    Problem = new RefineItemException(RefineCause.Name,
                        $"{input.Path}: another input has the output {input.OutputName} already. Refine it into another folder."),
                };
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
        using Stream stream = options.ListFile == "-" ? Console.OpenStandardInput() : File.OpenRead(options.ListFile!);
        using var reader = new StreamReader(stream, new UTF8Encoding(false), false, 1 << 16);
        await foreach (string line in LinesAsync(reader, cancellation).ConfigureAwait(false))
        {
            string full = Path.GetFullPath(line);
            string name = full.StartsWith(here, StringComparison.Ordinal) ? full[here.Length..] : full[Path.GetPathRoot(full)!.Length..];
            name = Path.DirectorySeparatorChar == '/' ? name : name.Replace(Path.DirectorySeparatorChar, '/');
            string output = options.Tar ? name : ByStem(name, options.Codec);
            if (!options.Tar && sharedOutputs.Contains(Key(output)))
            {
                output = ByWholeName(name, options.Codec);
            }

            yield return new InputFile(full, name, output)
            {
                Problem = full.EndsWith(output, StringComparison.Ordinal) && Path.GetFullPath(output, outputRoot) == full
                    ? new RefineItemException(RefineCause.Name, $"{full}: its output would replace it. Choose another output folder.")
                    : null,
            };
        }
    }

    private async IAsyncEnumerable<string> LinesAsync(StreamReader reader, [EnumeratorCancellation] CancellationToken cancellation)
    {
        if (!options.ZeroTerminated)
        {
            while (await reader.ReadLineAsync(cancellation).ConfigureAwait(false) is string line)
            {
                if (line.Length > 0)
                {
                    yield return line;
                }
            }

            yield break;
        }

        char[] buffer = new char[1 << 14];
        StringBuilder name = new();
        for (int read; (read = await reader.ReadAsync(buffer, cancellation).ConfigureAwait(false)) > 0;)
        {
            for (int from = 0; from < read;)
            {
                int length = Array.IndexOf(buffer, '\0', from, read - from) - from;
                name.Append(buffer, from, length >= 0 ? length : read - from);
                from = length >= 0 ? from + length + 1 : read;
                if (length >= 0 && name.Length > 0)
                {
                    yield return name.ToString();
                    name.Clear();
                }
            }
        }

        if (name.Length > 0)
        {
            yield return name.ToString();
        }
    }

    // Folders one at a time, their entries in ordinal order of the names that they give: that of all inputs is the same as if sorted at once.
    // Links are followed; each folder is read once, however many links lead to it.
    private IEnumerable<InputFile> InFolder(string root, CancellationToken cancellation)
    {
        HashSet<string> visited = [];
        string inputRoot = ImageFiles.Canonical(Path.GetFullPath(root), 0);
        bool mayMeet = inputRoot.StartsWith(outputRoot + Path.DirectorySeparatorChar, StringComparison.Ordinal);
        Stack<IEnumerator<InputFile>> open = new([Entries(root, "").GetEnumerator()]);
        visited.Add(inputRoot);
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
                bool overwrites = mayMeet && entry.Problem is null
                    && Path.GetFullPath(entry.OutputName, outputRoot).StartsWith(inputRoot + Path.DirectorySeparatorChar, StringComparison.Ordinal);
                yield return overwrites
                    ? entry with
                    {
                        Problem = new RefineItemException(RefineCause.Name,
                            $"{entry.Path}: its output {entry.OutputName} would lie among the inputs. Choose another output folder."),
                    }
                    : entry;
                continue;
            }

            string canonical = ImageFiles.Canonical(Path.GetFullPath(entry.Path), 0);
            if (canonical != outputRoot && visited.Add(canonical))
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
            problem = new RefineItemException(RefineCause.Unreadable,
                $"{folder}: the folder cannot be read: {error.Message.TrimEnd('.')}. Check its permissions.", error);
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
        string[] outputs = options.Tar ? names : OutputNames(names, options.Codec);
        int next = 0;
        foreach ((string key, bool isFolder) in entries)
        {
            yield return isFolder
                ? new InputFile(Path.Combine(folder, key[..^1]), prefix + key, "")
                : new InputFile(Path.Combine(folder, key), prefix + key, prefix + outputs[next++]);
        }
    }
}
