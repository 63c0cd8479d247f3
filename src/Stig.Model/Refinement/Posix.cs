using System.ComponentModel;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Stig.Model.Refinement;

/// <summary>What the class library has no call for.</summary>
internal static partial class Posix
{
    private const int ReadOnly = 0, CloseOnExec = 0x80000;

    /// <summary>Makes the entries of a folder (a rename) survive a loss of power. Elsewhere than on Linux nothing is done.</summary>
    /// <exception cref="IOException">The system refused.</exception>
    public static void SyncFolder(string folder)
    {
        if (!OperatingSystem.IsLinux())
        {
            return;
        }

        using var handle = new SafeFileHandle(Open(folder, ReadOnly | CloseOnExec), ownsHandle: true);
        if (handle.IsInvalid || Sync(handle) != 0)
        {
            int error = Marshal.GetLastPInvokeError();
            throw new IOException($"The folder {folder} cannot be synced: {Marshal.GetPInvokeErrorMessage(error)}.", new Win32Exception(error));
        }
    }

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int Sync(SafeFileHandle file);
}
