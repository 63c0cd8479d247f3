using System.Text.Json;
using System.Text.Json.Serialization;
using Stig.Interop.Cuda;
using Stig.Interop.Cuda.Dnn;
using Stig.Model.Imaging;

namespace Stig.Model.Execution.Cuda;

/// <summary>How cuDNN carries out a convolution.</summary>
/// <param name="Algorithm">A forward algorithm.</param>
/// <param name="Math">Arithmetic that it was found with.</param>
/// <param name="AddsBias">Whether cuDNN adds the bias; otherwise a kernel does so afterwards.</param>
internal readonly record struct ConvolutionMethod(DnnForwardAlgorithm Algorithm, DnnMathType Math, bool AddsBias);

/// <summary>
/// What was measured to be the fastest method of each convolution, in memory and in a file for each GPU, driver and cuDNN: measured again
/// for another one, and otherwise once a machine, so that later runs start at once and compute the same bytes. A file that cannot be read
/// is as good as none.
/// </summary>
internal sealed class ConvolutionCache
{
    private const int Format = 1;

    private static readonly Lock Gate = new();
    private static readonly Dictionary<string, ConvolutionCache> Known = [];

    private readonly string path;
    private readonly ConvolutionFile identity;
    private readonly SortedDictionary<string, ConvolutionMethod> methods = new(StringComparer.Ordinal);
    private bool unsaved;

    private ConvolutionCache(string path, ConvolutionFile identity)
    {
        this.path = path;
        this.identity = identity;
        foreach ((string convolution, ConvolutionMethod method) in Read())
        {
            methods.Add(convolution, method);
        }
    }

    /// <summary>Folder of files that can be made again: stig in XDG_CACHE_HOME, ~/.cache or the user's local application data.</summary>
    public static string Folder
    {
        get
        {
            // The specification tells to pass over paths that are not absolute.
            string? given = Environment.GetEnvironmentVariable("XDG_CACHE_HOME");
            string root = given is not null && Path.IsPathFullyQualified(given) ? given
                : OperatingSystem.IsWindows() ? Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData)
                : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache");
            return Path.Combine(root, "stig");
        }
    }

    /// <summary>The cache of a GPU with the driver and cuDNN in use, the same one for all executors of the process.</summary>
    public static ConvolutionCache Of(CudaDeviceInfo device, int driver, long dnn)
    {
        var identity = new ConvolutionFile(Format, device.Name, device.ComputeCapability.ToString(), device.Multiprocessors, driver, dnn, []);
        string gpu = string.Concat(device.Name.ToLowerInvariant().Select(letter => char.IsAsciiLetterOrDigit(letter) ? letter : '-'));
        string path = Path.Combine(Folder, $"convolutions-{gpu}-{device.Multiprocessors}-cuda{driver}-cudnn{dnn}.json");
        lock (Gate)
        {
            if (!Known.TryGetValue(path, out ConvolutionCache? cache))
            {
                cache = new ConvolutionCache(path, identity);
                Known.Add(path, cache);
            }

            return cache;
        }
    }

    /// <summary>Forgets what is in memory, so that the files are read again.</summary>
    public static void Forget()
    {
        lock (Gate)
        {
            Known.Clear();
        }
    }

    public ConvolutionMethod? Find(string convolution)
    {
        lock (Gate)
        {
            return methods.TryGetValue(convolution, out ConvolutionMethod method) ? method : null;
        }
    }

    public void Add(string convolution, ConvolutionMethod method)
    {
        lock (Gate)
        {
            methods[convolution] = method;
            unsaved = true;
        }
    }

    /// <summary>Writes what was added since the last time, together with what other processes have written meanwhile.</summary>
    /// <returns>Why it cannot be written; null when it is. It is not tried again.</returns>
    public string? Save()
    {
        lock (Gate)
        {
            if (!unsaved)
            {
                return null;
            }

            unsaved = false;
            var all = new SortedDictionary<string, ConvolutionMethod>(methods, StringComparer.Ordinal);
            foreach ((string convolution, ConvolutionMethod method) in Read())
            {
                all.TryAdd(convolution, method);
            }

            try
            {
                AtomicFile.Write(path, JsonSerializer.SerializeToUtf8Bytes(identity with { Convolutions = all }, ConvolutionJson.Default.ConvolutionFile));
                return null;
            }
            catch (IOException error)
            {
                return error.Message;
            }
        }
    }

    private SortedDictionary<string, ConvolutionMethod> Read()
    {
        ConvolutionFile? file;
        try
        {
            file = JsonSerializer.Deserialize(File.ReadAllBytes(path), ConvolutionJson.Default.ConvolutionFile);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or JsonException)
        {
            // Nothing is lost but the time to measure again; the next save replaces the file or says why it cannot.
            return [];
        }

        return file is { Convolutions: not null } && file with { Convolutions = identity.Convolutions } == identity ? file.Convolutions : [];
    }
}

/// <summary>The file: what it belongs to, and the methods by convolution.</summary>
internal sealed record ConvolutionFile(
    int Format, string Device, string ComputeCapability, int Multiprocessors, int Driver, long Cudnn,
    SortedDictionary<string, ConvolutionMethod> Convolutions);

[JsonSourceGenerationOptions(
    WriteIndented = true, UseStringEnumConverter = true, PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(ConvolutionFile))]
internal sealed partial class ConvolutionJson : JsonSerializerContext;
