using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Stig.Interop.Cuda.Loading;

/// <summary>What the search asks of the operating system's loader; a class of its own so that tests can stand in for it.</summary>
internal unsafe class NativeLoader
{
    /// <summary>Loads a library by path or bare name.</summary>
    /// <exception cref="DllNotFoundException">It cannot be loaded; the message says why.</exception>
    /// <exception cref="BadImageFormatException">The file is no library of this machine.</exception>
    internal virtual nint Load(string file) => NativeLibrary.Load(file);

    internal virtual void Free(nint handle) => NativeLibrary.Free(handle);

    internal virtual bool HasSymbol(nint handle, string symbol) => NativeLibrary.TryGetExport(handle, symbol, out _);

    /// <summary>What a function that takes nothing and returns size_t says; 0 when the library has no such function.</summary>
    internal virtual long CallVersion(nint handle, string symbol) =>
        NativeLibrary.TryGetExport(handle, symbol, out nint function) ? (long)((delegate* unmanaged<nuint>)function)() : 0;

    /// <summary>Version that the driver reports (12040 for 12.4); 0 when it cannot say.</summary>
    internal virtual int DriverVersion(nint handle)
    {
        int version = 0;
        return NativeLibrary.TryGetExport(handle, "cuDriverGetVersion", out nint function)
            && ((delegate* unmanaged<int*, CudaResult>)function)(&version) == CudaResult.Success ? version : 0;
    }

    /// <summary>Path of a library that the system's loader found by its bare name; the name itself where that cannot be told.</summary>
    internal virtual string PathOf(string name)
    {
        using Process self = Process.GetCurrentProcess();
        return self.Modules.Cast<ProcessModule>().Select(module => module.FileName)
            .FirstOrDefault(file => Path.GetFileName(file).StartsWith(name, StringComparison.OrdinalIgnoreCase)) ?? name;
    }
}
