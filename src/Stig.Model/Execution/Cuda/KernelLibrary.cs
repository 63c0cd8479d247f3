using System.Text;
using Stig.Interop.Cuda;

namespace Stig.Model.Execution.Cuda;

/// <summary>The hand-written kernels of native/ptx, which travel inside this assembly; a file is compiled by the driver when first needed.</summary>
internal sealed class KernelLibrary : IDisposable
{
    private const string ResourcePrefix = "ptx.";
    private const string EntryMark = ".visible .entry ";

    private static readonly Lazy<Dictionary<string, string>> FilesByEntry = new(FindEntries);

    private readonly CudaContext context;
    private readonly bool lineInfo;
    private readonly Dictionary<string, CudaModule> modules = [];
    private readonly Dictionary<string, CudaFunction> functions = [];

    /// <param name="context">Where they run.</param>
    /// <param name="lineInfo">Whether a profiler shall be able to show lines of PTX.</param>
    public KernelLibrary(CudaContext context, bool lineInfo = false)
    {
        this.context = context;
        this.lineInfo = lineInfo;
    }

    /// <summary>Names of all kernels.</summary>
    public static IReadOnlyCollection<string> Entries => FilesByEntry.Value.Keys;

    /// <summary>Names of those that have been asked for.</summary>
    public IReadOnlyCollection<string> Loaded => functions.Keys;

    /// <summary>The kernel of that name.</summary>
    /// <exception cref="CudaException">The driver refuses its file; the message holds the compiler's log.</exception>
    public CudaFunction Get(string entry)
    {
        if (functions.TryGetValue(entry, out CudaFunction? function))
        {
            return function;
        }

        string file = FilesByEntry.Value[entry];
        if (!modules.TryGetValue(file, out CudaModule? module))
        {
            module = CudaModule.Load(context, file, Read(file), lineInfo);
            modules.Add(file, module);
        }

        function = module.GetFunction(entry);
        functions.Add(entry, function);
        return function;
    }

    public void Dispose()
    {
        foreach (CudaModule module in modules.Values)
        {
            module.Dispose();
        }

        modules.Clear();
        functions.Clear();
    }

    private static byte[] Read(string file)
    {
        using Stream stream = typeof(KernelLibrary).Assembly.GetManifestResourceStream(ResourcePrefix + file)!;
        byte[] text = new byte[stream.Length];
        stream.ReadExactly(text);
        return text;
    }

    private static Dictionary<string, string> FindEntries()
    {
        var entries = new Dictionary<string, string>();
        foreach (string resource in typeof(KernelLibrary).Assembly.GetManifestResourceNames().Where(name => name.StartsWith(ResourcePrefix, StringComparison.Ordinal)))
        {
            string file = resource[ResourcePrefix.Length..];
            string text = Encoding.UTF8.GetString(Read(file));
            for (int at = text.IndexOf(EntryMark, StringComparison.Ordinal); at >= 0; at = text.IndexOf(EntryMark, at + 1, StringComparison.Ordinal))
            {
                int start = at + EntryMark.Length;
                entries.Add(text[start..text.IndexOf('(', start)].Trim(), file);
            }
        }

        return entries;
    }
}
